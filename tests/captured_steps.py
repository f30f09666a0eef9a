"""Both steps of a search of a small super-network, for tests of what can be captured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from amended_darts import Space, capturable, search_steps, uniform
from amended_darts.architecture import Architecture
from amended_darts.config import SearchConfig
from amended_darts.estimators import call_settings
from amended_darts.supernet import SuperNet
from torch import Tensor

Batch = tuple[Tensor, Tensor]


@dataclass
class Steps:
    """Network, α, and their optimisers as --cuda-graph makes them."""

    network: SuperNet
    architecture: Architecture
    weights: torch.optim.SGD
    alphas: torch.optim.Adam

    def alpha(self, train: Batch, val: Batch) -> dict[str, Tensor]:
        """The amended α step."""
        settings: dict[str, Any] = call_settings(SearchConfig().resolved(), self.weights, 0.1)
        return search_steps.alpha_step(self.network, self.architecture, self.alphas, train, val, "amended", settings)

    def weight(self, train: Batch) -> dict[str, Tensor]:
        """The w step."""
        return search_steps.weight_step(self.network, self.architecture, self.weights, train, 5.0)

    def owned(self) -> Iterator[Tensor]:
        """All that both read and change."""
        return capturable.tensors_of((self.network, self.architecture), (self.weights, self.alphas))


def make_steps(device: str = "cpu") -> Steps:
    """The same each time: one cell of one node with three operators on each of two edges."""
    torch.manual_seed(0)
    edges = uniform(1, ("sep_conv_3x3", "max_pool_3x3", "skip_connect"))
    space = Space("few", nodes=1, normal=edges, reduction=edges, shared=False, cells=1)
    network, architecture = SuperNet(space, 3, 1, channels=2).to(device), Architecture(space).to(device)
    weights = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=3e-4)
    steps = Steps(network, architecture, weights, torch.optim.Adam(architecture.parameters(), 0.01))
    capturable.make_capturable(steps.weights, steps.alphas)
    return steps


def make_batch(seed: int, device: str = "cpu", count: int = 2) -> Batch:
    """Images of 4 x 4."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 1, 4, 4, generator=generator)
    return images.to(device), torch.randint(3, (count,), generator=generator).to(device)

"""The mixed edges that leave one state, as one fused call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from amended_darts.noise import noise
from amended_darts.spaces import CUSTOM, Candidates
from amended_darts_ext import MixedEdges

FACTORIES: dict[str, Callable[[int, int], nn.Module]] = {"noise": noise}
"""Candidates that are not in the operator library: each edge gets a module of its own, which joins the same sum."""

Sliced = dict[nn.Parameter, tuple[nn.Parameter, Tensor]]
"""Parameters that lost rows: for each the new one, and which rows of the old one it has."""


class StateEdges(nn.Module):
    """The edges that leave one state with the same candidates: one fused call.

    Args:
        channels: of the state.
        rows: which rows of the group's weights, one per edge.
        nodes: the state that each edge leads to.
        candidates: operators, the same for all these edges.
        stride: 1, or 2 from the inputs of a reduction cell.
        mixed: further settings of ``MixedEdges``.
    """

    def __init__(
        self, channels: int, rows: list[int], nodes: list[int], candidates: Candidates, stride: int, **mixed: Any
    ) -> None:
        super().__init__()
        self.nodes = nodes
        self.candidates = candidates
        self.register_buffer("rows", torch.tensor(rows), persistent=False)
        # The identity is never dropped, as in re-training.
        droppable = torch.tensor([name != "skip_connect" or stride != 1 for name in candidates])
        self.register_buffer("droppable", droppable, persistent=False)
        operators = [CUSTOM[name] if name in CUSTOM else FACTORIES.get(name, name) for name in candidates]
        self.mixed = MixedEdges(channels, len(rows), stride, operators, **mixed)

    def forward(self, state: Tensor, weights: Tensor, drop: Tensor | None = None) -> list[Tensor]:
        """``drop``: probability, 0-d, with which each sample loses the operators of an edge; the rest is scaled up."""
        rows = weights.index_select(0, self.get_buffer("rows"))[..., : len(self.candidates)]
        if drop is not None:
            rows = rows if rows.dim() == 3 else rows.unsqueeze(1)  # [E, N or 1, K]
            kept = torch.rand(rows.shape[0], len(state), 1, device=state.device) >= drop
            rows = rows * torch.where(self.get_buffer("droppable"), kept / (1 - drop), 1.0).to(rows.dtype)
        return list(self.mixed(state, rows))

    def keep(self, positions: Sequence[int]) -> Sliced:
        """Drops all edges but those at ``positions``. Convolution weights stay the same parameters; BN arguments,
        which have a row for each edge, become new ones."""
        mixed, chosen = self.mixed, torch.tensor(positions, device=self.get_buffer("rows").device)
        self.nodes = [self.nodes[position] for position in positions]
        self.register_buffer("rows", self.get_buffer("rows")[chosen], persistent=False)
        mixed.edges = len(positions)
        for name in ("params", "custom"):
            per_edge = list(mixed.get_submodule(name).children())
            if per_edge:
                setattr(mixed, name, nn.ModuleList(per_edge[position] for position in positions))
        for name in ("running_mean", "running_var"):
            mixed.register_buffer(name, mixed.get_buffer(name)[chosen])
        sliced: Sliced = {}
        for name in ("bn_weight", "bn_bias"):
            old = getattr(mixed, name)
            if old is not None:
                new = nn.Parameter(old.detach()[chosen])
                setattr(mixed, name, new)
                sliced[old] = new, chosen
        return sliced

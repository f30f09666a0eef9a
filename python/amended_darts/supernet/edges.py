"""The mixed edges that leave one state, as one fused call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from amended_darts.noise import noise
from amended_darts.spaces import Candidates
from amended_darts_ext import MixedEdges

FACTORIES: dict[str, Callable[[int, int], nn.Module]] = {"noise": noise}
"""Candidates that are not in the operator library: each edge gets a module of its own, which joins the same sum."""


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
        operators = [FACTORIES.get(name, name) for name in candidates]
        self.mixed = MixedEdges(channels, len(rows), stride, operators, **mixed)

    def forward(self, state: Tensor, weights: Tensor) -> list[Tensor]:
        rows = weights.index_select(0, self.get_buffer("rows"))
        return list(self.mixed(state, rows[..., : len(self.candidates)]))

"""The cells of a super-network, in the two skeletons that spaces come in."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from amended_darts.spaces import Candidates, Group, Space
from amended_darts.supernet.edges import Sliced, StateEdges
from amended_darts.supernet.preprocessing import Preprocess


class MixedStates(nn.Module):
    """The graph of a cell: sums of mixed operations, state by state."""

    def __init__(self, space: Space, group: Group, channels: int, **mixed: Any) -> None:
        super().__init__()
        self.inputs = space.inputs
        self.states = nn.ModuleList()
        for state in range(space.inputs + space.nodes - 1):
            alike: dict[Candidates, list[int]] = {}
            for row, (_, source) in enumerate(space.edges):
                if source == state:
                    alike.setdefault(group.candidates[row], []).append(row)
            stride = 2 if group.reduction and state < space.inputs else 1
            self.states.append(
                nn.ModuleList(
                    StateEdges(channels, rows, [space.edges[row][0] for row in rows], names, stride, **mixed)
                    for names, rows in alike.items()
                )
            )

    def compute(self, given: list[Tensor], weights: Tensor, drop: Tensor | None) -> list[Tensor]:
        """The computed states, in order, from those that the cell is given; ``drop`` as for ``StateEdges``."""
        states = list(given)
        sums: dict[int, Tensor] = {}
        for state, calls in enumerate(self.states):
            if state >= self.inputs:
                states.append(sums[state])
            assert isinstance(calls, nn.ModuleList)
            for call in calls:
                assert isinstance(call, StateEdges)
                for node, output in zip(call.nodes, call(states[state], weights, drop), strict=True):
                    sums[node] = sums[node] + output if node in sums else output
        return [sums[node] for node in sorted(sums)]

    def keep_edges(self, kept: Collection[tuple[int, int]]) -> Sliced:
        """Drops all edges (node, input) but those, of which every node needs one."""
        sliced: Sliced = {}
        for state, calls in enumerate(self.states):
            left = nn.ModuleList()
            for call in calls:  # type: ignore[attr-defined]
                positions = [position for position, node in enumerate(call.nodes) if (node, state) in kept]
                if positions:
                    sliced.update(call.keep(positions))
                    left.append(call)
            self.states[state] = left
        return sliced


class DartsCell(MixedStates):
    """Reads the two cells before it; its output concatenates all computed states."""

    def __init__(
        self,
        space: Space,
        group: Group,
        channels_before_last: int,
        channels_last: int,
        channels: int,
        halved_before: bool,
        **mixed: Any,
    ) -> None:
        super().__init__(space, group, channels, **mixed)
        # The cell before last sees the image at twice the size if the last cell was a reduction.
        self.preprocess0 = Preprocess(channels_before_last, channels, halved_before, **mixed)
        self.preprocess1 = Preprocess(channels_last, channels, False, **mixed)

    def forward(self, before_last: Tensor, last: Tensor, weights: Tensor, drop: Tensor | None = None) -> Tensor:
        given = [self.preprocess0(before_last), self.preprocess1(last)]
        return torch.cat(self.compute(given, weights, drop), dim=1)


class NasBench201Cell(MixedStates):
    """Reads the cell before it as it is; its output is the last computed state (arXiv 2001.00326, section 2.2)."""

    def forward(self, before_last: Tensor, last: Tensor, weights: Tensor, drop: Tensor | None = None) -> Tensor:
        return self.compute([last], weights, drop)[-1]

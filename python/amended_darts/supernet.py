"""The super-network: every candidate of every edge at once, mixed with weights that the caller gives.

Construction follows DARTS (arXiv 1806.09055): a 3x3 stem to 3C channels, cells that read the two cells before them,
channels doubled in stride-2 cells, global average pooling, a linear classifier. All edges that leave one state share
one ``MixedEdges`` call. The network holds no α.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amended_darts.errors import InputError
from amended_darts.spaces import INPUTS, Candidates, Group, Space
from amended_darts_ext import MixedEdges


class FactorizedReduce(nn.Module):
    """ReLU, two 1x1 convolutions of stride 2 on the even and the odd pixels, concatenated, BN; odd sizes round up."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        half = channels_out // 2
        self.even = nn.Conv2d(channels_in, half, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(channels_in, channels_out - half, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(channels_out, affine=False)

    def forward(self, x: Tensor) -> Tensor:  # [N, C, H, W] -> [N, C', ceil(H / 2), ceil(W / 2)]
        x = F.relu(x)
        height, width = x.shape[2:]
        shifted = F.pad(x, (0, width % 2, 0, height % 2))[:, :, 1:, 1:]  # a pixel of zeros where the size is odd
        return self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))


class ReLUConvNorm(nn.Sequential):
    """ReLU, 1x1 convolution, BN: brings a cell's input to the cell's own number of channels."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.ReLU(), nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out, affine=False)
        )


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
        self.mixed = MixedEdges(channels, len(rows), stride, candidates, **mixed)

    def forward(self, state: Tensor, weights: Tensor) -> list[Tensor]:
        rows = weights.index_select(0, self.get_buffer("rows"))
        return list(self.mixed(state, rows[..., : len(self.candidates)]))


class Cell(nn.Module):
    """One cell of the super-network; its output concatenates all computed states."""

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
        super().__init__()
        self.nodes = space.nodes
        # The cell before last sees the image at twice the size if the last cell was a reduction.
        first = FactorizedReduce if halved_before else ReLUConvNorm
        self.preprocess0 = first(channels_before_last, channels)
        self.preprocess1 = ReLUConvNorm(channels_last, channels)
        self.states = nn.ModuleList()
        for state in range(INPUTS + space.nodes - 1):
            alike: dict[Candidates, list[int]] = {}
            for row, (_, source) in enumerate(space.edges):
                if source == state:
                    alike.setdefault(group.candidates[row], []).append(row)
            stride = 2 if group.reduction and state < INPUTS else 1
            self.states.append(
                nn.ModuleList(
                    StateEdges(channels, rows, [space.edges[row][0] for row in rows], names, stride, **mixed)
                    for names, rows in alike.items()
                )
            )

    def forward(self, before_last: Tensor, last: Tensor, weights: Tensor) -> Tensor:
        states: list[Tensor] = [self.preprocess0(before_last), self.preprocess1(last)]
        sums: dict[int, Tensor] = {}
        for state, calls in enumerate(self.states):
            if state >= INPUTS:
                states.append(sums[state])
            assert isinstance(calls, nn.ModuleList)
            for call in calls:
                assert isinstance(call, StateEdges)
                for node, output in zip(call.nodes, call(states[state], weights), strict=True):
                    sums[node] = sums[node] + output if node in sums else output
        return torch.cat([sums[node] for node in sorted(sums)], dim=1)


class SuperNet(nn.Module):
    """The whole super-network of a space.

    ``forward(x, weights)``: x [N, in_channels, H, W] and the weights of each group of cells, [E, K] or per sample
    [E, N, K], in the order of ``space.groups(cells)``; returns logits [N, classes]. Weights are used as given: the
    softmax is the caller's (``Architecture.weights``).

    Args:
        space: what is searched.
        classes: number of classes.
        in_channels: 1 for grey images, 3 for colour.
        cells, channels: depth, and width of the first cell; the space's defaults.
        mixed: settings of ``amended_darts_ext.MixedEdges`` (implementation, recompute, affine, pool_norm, ...).

    Raises:
        InputError: so few cells that one type of cell would not occur, or less than one channel or class.
    """

    def __init__(
        self,
        space: Space,
        classes: int,
        in_channels: int = 3,
        *,
        cells: int | None = None,
        channels: int | None = None,
        **mixed: Any,
    ) -> None:
        super().__init__()
        cells = space.cells if cells is None else cells
        width = space.channels if channels is None else channels
        for name, value, low in (("classes", classes, 1), ("in_channels", in_channels, 1), ("channels", width, 1)):
            if value < low:
                raise InputError(f"{name}: expected at least {low}, got {value}")
        check_cells(space, cells)
        reductions = space.reduction_cells(cells)
        groups = space.groups(cells)
        self.group_of = [space.group_of(index, cells) for index in range(cells)]
        stem = 3 * width
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, stem, 3, padding=1, bias=False),
            nn.BatchNorm2d(stem),
        )
        self.cells = nn.ModuleList()
        before_last, last, halved = stem, stem, False
        for index in range(cells):
            width *= 2 if index in reductions else 1
            group = groups[self.group_of[index]]
            self.cells.append(Cell(space, group, before_last, last, width, halved, **mixed))
            before_last, last, halved = last, space.nodes * width, index in reductions
        self.classifier = nn.Linear(last, classes)

    def forward(self, x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        before_last = last = self.stem(x)
        for cell, group in zip(self.cells, self.group_of, strict=True):
            before_last, last = last, cell(before_last, last, weights[group])
        return self.classifier(last.mean(dim=(2, 3)))


def check_cells(space: Space, cells: int) -> None:
    """Refuses depths at which an architecture of the space would occur nowhere in the network."""
    used = {space.group_of(index, cells) for index in range(max(cells, 0))}
    if len(used) < len(space.groups(cells)) or cells < 1:
        low = next(n for n in range(1, 100) if len({space.group_of(i, n) for i in range(n)}) == len(space.groups(n)))
        raise InputError(
            f"--cells: expected at least {low} for the space {space.name} (each type of cell once), got {cells}"
        )

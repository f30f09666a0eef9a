"""The whole super-network of a space.

Construction follows DARTS (arXiv 1806.09055): a 3x3 stem to 3C channels, cells that read the two cells before them,
channels doubled in stride-2 cells, global average pooling, a linear classifier; or NAS-Bench-201 (arXiv 2001.00326,
figure 1): a 3x3 stem to C channels, stages of cells with residual blocks of stride 2 between them, BN, ReLU, pooling, a
linear classifier. All edges that leave one state share one ``MixedEdges`` call. The network holds no α.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from amended_darts.errors import InputError
from amended_darts.residual import ResidualReduction
from amended_darts.spaces import Space, check_cells
from amended_darts.supernet.cells import DartsCell, NasBench201Cell


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
        pool_norm: BN after pools; as the space says by default.
        mixed: settings of ``amended_darts_ext.MixedEdges`` (implementation, recompute, affine, ...).

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
        pool_norm: bool | None = None,
        **mixed: Any,
    ) -> None:
        super().__init__()
        cells = space.cells if cells is None else cells
        width = space.channels if channels is None else channels
        for name, value, low in (("classes", classes, 1), ("in_channels", in_channels, 1), ("channels", width, 1)):
            if value < low:
                raise InputError(f"{name}: expected at least {low}, got {value}")
        check_cells(space, cells)
        mixed["pool_norm"] = space.pool_norm if pool_norm is None else pool_norm
        reductions = space.reduction_cells(cells)
        groups = space.groups(cells)
        self.group_of = [space.group_of(index, cells) for index in range(cells)]
        darts = space.skeleton == "darts"
        stem = 3 * width if darts else width
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, stem, 3, padding=1, bias=False),
            nn.BatchNorm2d(stem),
        )
        self.cells = nn.ModuleList()
        self.between = nn.ModuleDict()  # residual blocks, by the index of the cell that follows
        before_last, last, halved = stem, stem, False
        for index in range(cells):
            width *= 2 if index in reductions else 1
            group = groups[self.group_of[index]]
            if darts:
                self.cells.append(DartsCell(space, group, before_last, last, width, halved, **mixed))
                before_last, last, halved = last, space.nodes * width, index in reductions
            else:
                if index in reductions:
                    self.between[str(index)] = ResidualReduction(last, width)
                self.cells.append(NasBench201Cell(space, group, width, **mixed))
                last = width
        self.norm = nn.Identity() if darts else nn.BatchNorm2d(last)
        self.relu_last = not darts
        self.classifier = nn.Linear(last, classes)

    def forward(self, x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        before_last = last = self.stem(x)
        for index, (cell, group) in enumerate(zip(self.cells, self.group_of, strict=True)):
            if str(index) in self.between:
                last = self.between[str(index)](last)
            before_last, last = last, cell(before_last, last, weights[group])
        last = self.norm(last)
        if self.relu_last:
            last = F.relu(last)
        return self.classifier(last.mean(dim=(2, 3)))

"""The whole super-network of a space.

Construction follows DARTS (arXiv 1806.09055): a 3x3 stem to 3C channels, cells that read the two cells before them,
channels doubled in stride-2 cells, global average pooling, a linear classifier; or NAS-Bench-201 (arXiv 2001.00326,
figure 1): a 3x3 stem to C channels, stages of cells with residual blocks of stride 2 between them, BN, ReLU, pooling, a
linear classifier. All edges that leave one state share one ``MixedEdges`` call. The network holds no α.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amended_darts.derived.auxiliary import AuxiliaryHead
from amended_darts.derived.network import conv_norm
from amended_darts.errors import InputError
from amended_darts.genotype import Topology
from amended_darts.spaces import Space, check_cells
from amended_darts.supernet.cells import DartsCell, MixedStates, NasBench201Cell
from amended_darts.supernet.edges import Sliced
from amended_darts.supernet.preprocessing import MixedResidualReduction

FORMS = ("cifar", "imagenet")


class SuperNet(nn.Module):
    """The whole super-network of a space.

    ``forward(x, weights)``: x [N, in_channels, H, W] and the weights of each group of cells, [E, K] or per sample
    [E, N, K], in the order of ``space.groups(cells)``; returns logits [N, classes], in training with an auxiliary head
    a pair of them, the head's second. Weights are used as given: the softmax is the caller's
    (``Architecture.weights``).

    Args:
        space: what is searched.
        classes: number of classes.
        in_channels: 1 for grey images, 3 for colour.
        cells, channels: depth, and width of the first cell; the space's defaults.
        pool_norm: BN after pools; as the space says by default.
        form: ``cifar``, a stem that keeps the size, or ``imagenet``, one that divides it by 8 (DARTS' skeleton alone).
        auxiliary: with the auxiliary head of re-training.
        drop_path: operators of an edge may be dropped in training, sample by sample; ``set_drop_path`` says how often.
        mixed: settings of ``amended_darts_ext.MixedEdges`` (implementation, recompute, affine, ...).

    Raises:
        InputError: so few cells that one type of cell would not occur, or less than one channel or class.
    """

    drop_path: Tensor | None

    def __init__(
        self,
        space: Space,
        classes: int,
        in_channels: int = 3,
        *,
        cells: int | None = None,
        channels: int | None = None,
        pool_norm: bool | None = None,
        form: str = "cifar",
        auxiliary: bool = False,
        drop_path: bool = False,
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
        if form not in FORMS or (form == "imagenet" and not darts):
            raise InputError(f"form: expected {' or '.join(FORMS if darts else FORMS[:1])}, got '{form}'")
        self.register_buffer("drop_path", torch.zeros(()) if drop_path else None, persistent=False)
        self.stem1: nn.Module | None = None
        if form == "imagenet":
            stem, half = width, max(width // 2, 1)
            self.stem = nn.Sequential(*conv_norm(in_channels, half, 2), nn.ReLU(), *conv_norm(half, width, 2))
            self.stem1 = nn.Sequential(nn.ReLU(), *conv_norm(width, width, 2))
        else:
            stem = 3 * width if darts else width
            self.stem = conv_norm(in_channels, stem)
        self.cells = nn.ModuleList()
        self.between = nn.ModuleDict()  # residual blocks, by the index of the cell that follows
        self.auxiliary_after = reductions[-1] if reductions else 2 * cells // 3
        self.auxiliary: nn.Module | None = None
        before_last, last, halved = stem, stem, form == "imagenet"
        for index in range(cells):
            width *= 2 if index in reductions else 1
            group = groups[self.group_of[index]]
            if darts:
                self.cells.append(DartsCell(space, group, before_last, last, width, halved, **mixed))
                before_last, last, halved = last, space.nodes * width, index in reductions
            else:
                if index in reductions:
                    self.between[str(index)] = MixedResidualReduction(last, width, **mixed)
                self.cells.append(NasBench201Cell(space, group, width, **mixed))
                last = width
            if auxiliary and index == self.auxiliary_after:
                size, last_norm = (7, False) if form == "imagenet" else (8, True)
                self.auxiliary = AuxiliaryHead(last, classes, size, last_norm)
        self.norm = nn.Identity() if darts else nn.BatchNorm2d(last)
        self.relu_last = not darts
        self.classifier = nn.Linear(last, classes)

    def forward(self, x: Tensor, weights: Sequence[Tensor]) -> Tensor | tuple[Tensor, Tensor]:
        drop = self.drop_path if self.training else None
        before_last = self.stem(x)
        last = before_last if self.stem1 is None else self.stem1(before_last)
        beside: Tensor | None = None
        for index, (cell, group) in enumerate(zip(self.cells, self.group_of, strict=True)):
            if str(index) in self.between:
                last = self.between[str(index)](last)
            before_last, last = last, cell(before_last, last, weights[group], drop)
            if self.auxiliary is not None and self.training and index == self.auxiliary_after:
                beside = self.auxiliary(last)
        last = self.norm(last)
        if self.relu_last:
            last = F.relu(last)
        logits = self.classifier(last.mean(dim=(2, 3)))
        return logits if beside is None else (logits, beside)

    def set_drop_path(self, probability: float) -> None:
        """How often the operators of an edge are dropped from now on.

        Raises:
            InputError: not a probability below 1, or a network made without drop-path.
        """
        if self.drop_path is None or not 0 <= probability < 1:
            raise InputError(
                f"drop_path: expected a network made with drop_path=True and a probability from 0 to below 1, "
                f"got {probability}"
            )
        self.drop_path.fill_(probability)

    def keep_edges(self, topology: Topology) -> Sliced:
        """Drops all edges but those of the topology (one set of (node, input) per group of cells) with their weights.

        Returns the parameters that are new because they lost rows.
        """
        sliced: Sliced = {}
        for cell, group in zip(self.cells, self.group_of, strict=True):
            assert isinstance(cell, MixedStates)
            sliced.update(cell.keep_edges(topology[group]))
        return sliced

"""Networks made of a genotype's cells, in plain torch.nn: they run where the compiled library is not installed.

Construction follows DARTS (arXiv 1806.09055, appendix A): a stem, cells that read the two cells before them, channels
doubled in reduction cells, global average pooling, a linear classifier, and in training an auxiliary head after the
last reduction; or NAS-Bench-201 (arXiv 2001.00326, figure 1): a stem, stages of cells with residual blocks between.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from amended_darts.derived.auxiliary import AuxiliaryHead
from amended_darts.derived.cell import DartsCell, NasBench201Cell
from amended_darts.derived.plan import lay_out, repeats
from amended_darts.errors import InputError
from amended_darts.genotype import Genotype
from amended_darts.recipes import RECIPES
from amended_darts.residual import ResidualReduction

FORMS = ("cifar", "imagenet", "nasbench201")


class DerivedNetwork(nn.Module):
    """The network of a genotype.

    ``forward(x)``: x [N, in_channels, H, W] to logits [N, classes]; ``forward_both(x)`` gives the auxiliary head's
    logits too. ``drop_path`` is an attribute, the probability with which a path is dropped in training: training
    raises it from epoch to epoch.

    Args:
        genotype: what was found.
        classes: number of classes.
        in_channels: 1 for grey images, 3 for colour.
        cells, channels: depth, and width of the first cell; by default those that the form is published with (20 and
            36, 14 and 48, 15 and 16), and the genotype's own depth where it has a cell for each place.
        form: ``cifar``, a stem that keeps the size; ``imagenet``, one that divides it by 8; ``nasbench201``, for cells
            of one input and these alone. By default the first or the last.
        auxiliary: with an auxiliary head.
        affine: BN of the cells with learnable weight and bias.
        pool_norm: BN after pools, as in search.

    Raises:
        InputError: a setting out of its range, or a depth or form that does not fit the genotype.
    """

    def __init__(
        self,
        genotype: Genotype,
        classes: int,
        in_channels: int = 3,
        *,
        cells: int | None = None,
        channels: int | None = None,
        form: str | None = None,
        auxiliary: bool = False,
        affine: bool = True,
        pool_norm: bool = False,
    ) -> None:
        super().__init__()
        self.genotype = genotype
        self.form = form = find_form(genotype, form)
        width = RECIPES[form].channels if channels is None else channels
        for name, value in (("classes", classes), ("in_channels", in_channels), ("channels", width)):
            if value < 1:
                raise InputError(f"{name}: expected at least 1, got {value}")
        self.plan = lay_out(genotype, default_depth(genotype, form) if cells is None else cells)
        self.auxiliary_after = self.plan.halved[-1] if self.plan.halved else 2 * len(self.plan.cells) // 3
        self.drop_path = 0.0
        before_last = last = self._make_stem(form, in_channels, width)
        halved = form == "imagenet"
        self.cells = nn.ModuleList()
        self.between = nn.ModuleDict()  # residual blocks, by the index of the cell that follows
        self.auxiliary: AuxiliaryHead | None = None
        for index, found in enumerate(self.plan.cells):
            width *= 2 if index in self.plan.halved else 1
            if form == "nasbench201":
                if index in self.plan.halved:
                    self.between[str(index)] = ResidualReduction(last, width)
                self.cells.append(NasBench201Cell(found, width, affine, pool_norm))
                last = width
            else:
                self.cells.append(DartsCell(found, before_last, last, width, halved, affine, pool_norm))
                before_last, last, halved = last, found.nodes * width, found.reduction
            if auxiliary and index == self.auxiliary_after:
                size, last_norm = (7, False) if form == "imagenet" else (8, True)
                self.auxiliary = AuxiliaryHead(last, classes, size, last_norm)
        self.norm = nn.BatchNorm2d(last) if form == "nasbench201" else None
        self.classifier = nn.Linear(last, classes)

    def _make_stem(self, form: str, in_channels: int, width: int) -> int:
        """Makes the layers before the first cell and returns their number of channels."""
        self.stem: nn.Module
        self.stem1: nn.Module | None = None
        if form != "imagenet":
            channels = width if form == "nasbench201" else 3 * width
            self.stem = conv_norm(in_channels, channels)
            return channels
        half = max(width // 2, 1)
        self.stem = nn.Sequential(*conv_norm(in_channels, half, 2), nn.ReLU(), *conv_norm(half, width, 2))
        self.stem1 = nn.Sequential(nn.ReLU(), *conv_norm(width, width, 2))
        return width

    def forward(self, x: Tensor) -> Tensor:
        return self._run(x, None)[0]

    def forward_both(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits of the classifier and of the auxiliary head (None without one), [N, classes] each."""
        return self._run(x, self.auxiliary)

    def _run(self, x: Tensor, auxiliary: nn.Module | None) -> tuple[Tensor, Tensor | None]:
        before_last = self.stem(x)
        last = before_last if self.stem1 is None else self.stem1(before_last)
        beside = None
        for index, cell in enumerate(self.cells):
            if str(index) in self.between:
                last = self.between[str(index)](last)
            before_last, last = last, cell(before_last, last, self.drop_path)
            if auxiliary is not None and index == self.auxiliary_after:
                beside = auxiliary(last)
        if self.norm is not None:
            last = F.relu(self.norm(last))
        return self.classifier(last.mean(dim=(2, 3))), beside


def find_form(genotype: Genotype, form: str | None) -> str:
    """The form of the genotype's network, ``form`` if that fits.

    Raises:
        InputError: an unknown form, or one for cells of another number of inputs.
    """
    one_input = genotype.cells[0].inputs == 1
    if form is None:
        return "nasbench201" if one_input else "cifar"
    fitting = [name for name in FORMS if (name == "nasbench201") == one_input]
    if form not in fitting:
        raise InputError(f"form: expected {' or '.join(fitting)} for the space {genotype.space}, got '{form}'")
    return form


def default_depth(genotype: Genotype, form: str) -> int:
    """Cells of the published network, or the genotype's own where it has one for each place."""
    return RECIPES[form].cells if repeats(genotype) else len(genotype.cells)


def conv_norm(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution and BN: the stem."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
    )

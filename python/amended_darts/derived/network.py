"""Networks made of a genotype's cells, in plain torch.nn: they run where the compiled library is not installed.

Construction follows DARTS (arXiv 1806.09055, appendix A): a stem, cells that read the two cells before them, channels
doubled in reduction cells, global average pooling, a linear classifier, and in training an auxiliary head after the
last reduction.
"""

from __future__ import annotations

from torch import Tensor, nn

from amended_darts.derived.auxiliary import AuxiliaryHead
from amended_darts.derived.cell import Cell
from amended_darts.derived.plan import lay_out
from amended_darts.errors import InputError
from amended_darts.genotype import Genotype

FORMS = ("cifar", "imagenet")


class DerivedNetwork(nn.Module):
    """The network of a genotype.

    ``forward(x)``: x [N, in_channels, H, W] to logits [N, classes]; ``forward_both(x)`` gives the auxiliary head's
    logits too. ``drop_path`` is an attribute, the probability with which a path is dropped in training: training
    raises it from epoch to epoch.

    Args:
        genotype: what was found.
        classes: number of classes.
        in_channels: 1 for grey images, 3 for colour.
        cells: depth; 20 (cifar) or 14 (imagenet) by default, the genotype's own where each cell has its own.
        channels: width of the first cell; 36 (cifar) or 48 (imagenet) by default.
        form: ``cifar``, a stem that keeps the size; ``imagenet``, one that divides it by 8.
        auxiliary: with an auxiliary head.
        affine: BN of the cells with learnable weight and bias.
        pool_norm: BN after pools, as in search.

    Raises:
        InputError: a setting out of its range, or a depth that does not fit the genotype.
    """

    def __init__(
        self,
        genotype: Genotype,
        classes: int,
        in_channels: int = 3,
        *,
        cells: int | None = None,
        channels: int | None = None,
        form: str = "cifar",
        auxiliary: bool = False,
        affine: bool = True,
        pool_norm: bool = False,
    ) -> None:
        super().__init__()
        if form not in FORMS:
            raise InputError(f"form: expected one of {', '.join(FORMS)}, got '{form}'")
        width = (36 if form == "cifar" else 48) if channels is None else channels
        for name, value in (("classes", classes), ("in_channels", in_channels), ("channels", width)):
            if value < 1:
                raise InputError(f"{name}: expected at least 1, got {value}")
        self.genotype = genotype
        self.plan = plan = lay_out(genotype, cells, 20 if form == "cifar" else 14)
        self.drop_path = 0.0
        self.stem: nn.Module
        if form == "cifar":
            before_last = last = 3 * width
            self.stem, self.stem1 = conv_norm(in_channels, last), None
        else:
            before_last = last = width
            half = max(width // 2, 1)
            self.stem = nn.Sequential(*conv_norm(in_channels, half, 2), nn.ReLU(), *conv_norm(half, width, 2))
            self.stem1 = nn.Sequential(nn.ReLU(), *conv_norm(width, width, 2))
        halved = form == "imagenet"
        reductions = [index for index, cell in enumerate(plan) if cell.reduction]
        self.auxiliary_after = reductions[-1] if reductions else 2 * len(plan) // 3
        self.cells = nn.ModuleList()
        self.auxiliary: AuxiliaryHead | None = None
        for index, found in enumerate(plan):
            width *= 2 if found.reduction else 1
            self.cells.append(Cell(found, before_last, last, width, halved, affine, pool_norm))
            before_last, last, halved = last, found.nodes * width, found.reduction
            if auxiliary and index == self.auxiliary_after:
                size, last_norm = (8, True) if form == "cifar" else (7, False)
                self.auxiliary = AuxiliaryHead(last, classes, size, last_norm)
        self.classifier = nn.Linear(last, classes)

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
            before_last, last = last, cell(before_last, last, self.drop_path)
            if auxiliary is not None and index == self.auxiliary_after:
                beside = auxiliary(last)
        return self.classifier(last.mean(dim=(2, 3))), beside


def conv_norm(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution and BN: the stem."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
    )

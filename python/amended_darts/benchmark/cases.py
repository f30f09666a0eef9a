"""What memory is benchmarked on: a super-network of a space in some depth and width, with batches of images."""

from __future__ import annotations

from dataclasses import dataclass

from amended_darts.errors import InputError
from amended_darts.spaces import Space, check_cells, find_space

IMAGENET = 128
"""Images from this size get the ImageNet stem, which divides it by 8, and 1000 classes; others CIFAR's, and 10."""


@dataclass(frozen=True)
class Case:
    """A super-network and its batches of colour images.

    Attributes:
        space: its name, or a JSON file.
        cells, channels: depth, and width of the first cell.
        batch: images of a step.
        size: height and width of an image.
    """

    space: str
    cells: int
    channels: int
    batch: int
    size: int = 32

    @property
    def form(self) -> str:
        """The stem, as ``SuperNet`` calls it."""
        return "imagenet" if self.size >= IMAGENET else "cifar"

    @property
    def classes(self) -> int:
        return 1000 if self.form == "imagenet" else 10

    def __str__(self) -> str:
        return f"{self.space} {self.cells} x {self.channels}, {self.size} px, batch {self.batch}"

    def found(self) -> Space:
        """The space, after a check that this network exists in it.

        Raises:
            InputError: no such space, a depth at which not all of it occurs, a stem that its skeleton has not.
        """
        space = find_space(self.space)
        check_cells(space, self.cells)
        if self.form == "imagenet" and space.skeleton != "darts":
            raise InputError(
                f"--image-size: expected less than {IMAGENET} for the space {self.space}, whose skeleton has no stem "
                f"for larger images, got {self.size}"
            )
        return space


PUBLISHED = (
    Case("darts", 8, 16, 64),
    Case("darts", 20, 36, 64),
    Case("darts8", 8, 16, 64),
    Case("s2", 20, 16, 64),
    Case("s2", 20, 36, 64),
    Case("darts-large", 20, 16, 64),
    Case("darts-large", 20, 36, 64),
    Case("nasbench201", 15, 16, 64),
    Case("darts", 8, 16, 64, 224),
    Case("darts", 14, 48, 64, 224),
    Case("s2", 14, 48, 64, 224),
)
"""The published table: the sizes of the papers' searches, and those of re-training: 20 cells of 36 channels on CIFAR,
14 of 48 on ImageNet."""

MEASURED = (
    Case("darts8", 8, 16, 32),
    Case("s2", 20, 16, 32),
    Case("nasbench201", 15, 16, 64),
    Case("darts", 8, 16, 32, 224),
)
"""Sizes at which a small machine can run every variant in minutes: how true the prediction is."""

QUICK = (Case("s2", 2, 4, 8, 16), Case("nasbench201", 3, 4, 8, 16))
"""Seconds."""

"""Which images a run learns from, and how a search deals them out."""

from __future__ import annotations

from dataclasses import dataclass

from amended_darts.augmentations import AUGMENTATIONS
from amended_darts.options import Check, at_least, not_negative, option

SOME: Check = (lambda value: 0 < value <= 1, "a share above 0, at most 1")


@dataclass(frozen=True)
class ImageOptions:
    """Which images a run sees: a search or a re-training."""

    data: str = option("digits", "data set: digits, cifar10, cifar100 or imagefolder", group="data")
    root: str | None = option(
        None,
        "folder of the data set; digits comes with scikit-learn and needs none",
        group="data",
        metavar="FOLDER",
        free=True,
    )
    image_size: int = option(
        32,
        "side of the images: imagefolder scales and crops to this square, CIFAR averages to 16, 8 or 4 pixels",
        "pixels",
        "data",
        check=at_least(1, "pixel"),
    )
    fraction: float = option(
        1.0,
        "share of the training images to use, the same of every class, chosen by --seed",
        "0..1",
        "data",
        check=SOME,
    )
    heldout_fraction: float = option(
        1.0,
        "share of the held-out images to measure on, the same of every class, whatever the seed",
        "0..1",
        "data",
        check=SOME,
    )
    workers: int = option(
        0,
        "imagefolder: processes that decode images; 0 decodes in the run itself",
        "processes",
        "data",
        check=not_negative("a number of processes, 0 or more"),
        free=True,
    )


@dataclass(frozen=True)
class DataOptions(ImageOptions):
    """Which images a search learns from, and how they are dealt out."""

    augment: str = option(
        "standard",
        "changes to training images: " + "; ".join(f"{name}, {about}" for name, about in AUGMENTATIONS.items()),
        group="data",
        choices=tuple(AUGMENTATIONS),
    )
    train_portion: float = option(
        0.5,
        "share of the training images that the network weights learn from; α learns from the rest",
        "0..1",
        "data",
        check=(lambda value: 0 < value < 1, "a share strictly between 0 and 1"),
    )
    batch_size: int = option(
        64,
        "images per step, for w and for α alike",
        "images",
        "data",
        check=at_least(2, "images (batch normalisation needs two)"),
    )

"""The data sets, by name. Nothing is downloaded: digits ships with scikit-learn, the others are read from --root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch

from amended_darts.data.augment import find_transform
from amended_darts.data.fractions import balanced_fraction
from amended_darts.data.images import FileImages, Images, MemoryImages
from amended_darts.errors import InputError
from amended_darts.extras import require

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class DataSettings(Protocol):
    """The options that say which images: those of a search and of a re-training alike."""

    @property
    def data(self) -> str: ...
    @property
    def root(self) -> str | None: ...
    @property
    def image_size(self) -> int: ...
    @property
    def workers(self) -> int: ...
    @property
    def fraction(self) -> float: ...
    @property
    def heldout_fraction(self) -> float: ...
    @property
    def augment(self) -> str: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class DataSet:
    """Training images, held-out images and how to prepare them.

    Attributes:
        classes: class names, in the order of the labels.
        mean, std: per channel, in units of a pixel (0..255, digits 0..16).
        pad: random crops after this many pixels of zeros on each side; 0 for no crops.
        flip: random horizontal flips.
    """

    name: str
    train: Images
    heldout: Images
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad: int = 0
    flip: bool = False

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width."""
        return self.train.image_size


def digits(config: DataSettings) -> DataSet:
    """1,797 grey 8x8 images of handwritten digits, shipped with scikit-learn; 360 are held out, the same for every
    seed. They are neither flipped (a flipped digit is none) nor cropped (strokes reach the border)."""
    datasets = require("sklearn.datasets", "the data set digits")
    selection = require("sklearn.model_selection", "the data set digits")
    loaded = datasets.load_digits()
    pixels = torch.from_numpy(loaded.images).to(torch.uint8).unsqueeze(1)  # 0..16
    labels = torch.from_numpy(loaded.target).long()
    order = list(range(len(labels)))
    train, heldout = selection.train_test_split(order, test_size=360, random_state=0, stratify=loaded.target)
    values = pixels[train].double()
    return DataSet(
        "digits",
        MemoryImages(pixels[train], labels[train]),
        MemoryImages(pixels[heldout], labels[heldout]),
        tuple(str(name) for name in loaded.target_names),
        mean=(float(values.mean()),),
        std=(float(values.std()),),
    )


def cifar(config: DataSettings) -> DataSet:
    """CIFAR-10 or CIFAR-100 as torchvision reads them: files in --root whose checksums it verifies."""
    root = _root(config)
    datasets = require("torchvision.datasets", f"the data set {config.data}", "torchvision")
    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[config.data]
    try:
        parts = [kind(str(root), train=train, download=False) for train in (True, False)]
    except RuntimeError:
        folder = kind.base_folder
        raise InputError(f"--root: expected the folder that holds {folder} of {config.data}, got {root}") from None
    train, heldout = (
        MemoryImages(_averaged(torch.from_numpy(part.data), config.image_size), torch.tensor(part.targets))
        for part in parts
    )
    mean, std = {
        "cifar10": ((125.31, 122.95, 113.87), (62.99, 62.09, 66.70)),
        "cifar100": ((129.30, 124.07, 112.43), (68.17, 65.39, 70.42)),
    }[config.data]
    pad = config.image_size // 8
    return DataSet(config.data, train, heldout, tuple(parts[0].classes), mean, std, pad=pad, flip=True)


def _averaged(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """CIFAR's images, uint8 [n, 32, 32, 3], as [n, 3, size, size], each pixel the mean of a square of theirs.

    Raises:
        InputError: squares do not fit.
    """
    if 32 % size:
        raise InputError(f"--image-size: expected 32, 16, 8 or 4 for CIFAR, whose images have 32 pixels, got {size}")
    pixels = pixels.permute(0, 3, 1, 2)
    if size == 32:
        return pixels.contiguous()
    return torch.nn.functional.avg_pool2d(pixels.float(), 32 // size).round().to(torch.uint8).contiguous()


def imagefolder(config: DataSettings) -> DataSet:
    """Any tree of class folders: --root with train/CLASS/... and test/CLASS/... (or val/CLASS/...)."""
    root = _root(config)
    held = next((root / name for name in ("test", "val") if (root / name).is_dir()), None)
    if held is None or not (root / "train").is_dir():
        raise InputError(f"--root: expected a folder with train/ and test/ (or val/) in it, got {root}")
    classes = _classes(root / "train")
    if _classes(held) != classes:
        different = sorted(set(classes) ^ set(_classes(held)))
        raise InputError(f"--root: expected the same classes in train/ and {held.name}/, they differ in {different[0]}")
    train, heldout = (_files(folder, classes, config) for folder in (root / "train", held))
    return DataSet(
        "imagefolder",
        train,
        heldout,
        classes,
        mean=(123.68, 116.78, 103.94),  # of ImageNet, as is the custom for photographs
        std=(58.40, 57.12, 57.38),
        pad=config.image_size // 8,
        flip=True,
    )


def _root(config: DataSettings) -> Path:
    if config.root is None:
        raise InputError(f"--root: expected the folder of the data set {config.data}, got nothing")
    root = Path(config.root)
    if not root.is_dir():
        raise InputError(f"--root: expected an existing folder, got {root}")
    return root


def _classes(folder: Path) -> tuple[str, ...]:
    found = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
    if len(found) < 2:
        raise InputError(f"--root: expected at least 2 class folders in {folder}, got {len(found)}")
    return found


def _files(folder: Path, classes: tuple[str, ...], config: DataSettings) -> FileImages:
    require("PIL.Image", "the data set imagefolder")
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(path for path in (folder / name).rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            raise InputError(f"--root: expected images in {folder / name}, got none")
        paths += found
        labels += [label] * len(found)
    return FileImages(paths, torch.tensor(labels), config.image_size, config.workers)


SOURCES: dict[str, Callable[[DataSettings], DataSet]] = {
    "digits": digits,
    "cifar10": cifar,
    "cifar100": cifar,
    "imagefolder": imagefolder,
}


def load_data(config: DataSettings) -> DataSet:
    """The data set that ``config.data`` names, or the fraction of it that ``config`` asks for, with its augmentation.

    Raises:
        InputError: unknown name, --root missing or without the expected files, or no torchvision where it is needed.
    """
    if config.data not in SOURCES:
        raise InputError(f"--data: expected one of {', '.join(SOURCES)}, got '{config.data}'")
    return with_options(SOURCES[config.data](config), config)


def with_options(data: DataSet, config: DataSettings) -> DataSet:
    """The fraction of a data set that ``config`` asks for, with its augmentation."""
    if config.fraction < 1:
        data = replace(data, train=_fraction(data.train, config.fraction, config.seed))
    if config.heldout_fraction < 1:  # the same images for every seed
        data = replace(data, heldout=_fraction(data.heldout, config.heldout_fraction, 0))
    transform = find_transform(config.augment, data.image_size[0], data.flip)
    if transform is not None:
        data = replace(data, train=data.train.transformed(transform))
    if config.augment == "none" or (transform is not None and transform.whole):
        data = replace(data, pad=0, flip=False)
    return data


def _fraction(images: Images, fraction: float, seed: int) -> Images:
    return images.subset(balanced_fraction(images.labels, fraction, seed))

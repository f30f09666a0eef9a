"""Where pixels come from: a tensor in memory, or image files that are decoded as they are needed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from amended_darts.data.augment import Transform
from amended_darts.errors import InputError
from amended_darts.extras import require


class Images(Protocol):
    """Labelled images of one size.

    Attributes:
        labels: int64 [n].
        image_size: height and width.
        thread_safe: a thread may make batches beside the search, as they draw from no global random generator.
    """

    labels: Tensor
    image_size: tuple[int, int]
    thread_safe: bool

    def batches(self, chosen: Iterable[Tensor], seeds: Iterator[int] | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """For each tensor of indices the images, uint8 [N, C, H, W], and their labels, int64 [N], in that order.

        With ``seeds``, one for each batch, the images go through their transform, if they have one.
        """
        ...

    def subset(self, indices: Tensor) -> Images:
        """Those images alone, in the order of ``indices``."""
        ...

    def transformed(self, transform: Transform) -> Images:
        """The same images with a transform for training."""
        ...


class MemoryImages:
    """Images held in one tensor, uint8 [n, C, H, W]."""

    def __init__(self, pixels: Tensor, labels: Tensor, transform: Transform | None = None) -> None:
        self.pixels = pixels
        self.labels = labels
        self.image_size = (pixels.shape[2], pixels.shape[3])
        self.transform = transform
        self.thread_safe = transform is None

    def batches(self, chosen: Iterable[Tensor], seeds: Iterator[int] | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        for indices in chosen:
            pixels = self.pixels[indices]
            if self.transform is not None and seeds is not None:
                seed = next(seeds)
                pixels = torch.stack([self.transform(image, seed + at) for at, image in enumerate(pixels)])
            yield pixels, self.labels[indices]

    def subset(self, indices: Tensor) -> MemoryImages:
        return MemoryImages(self.pixels[indices], self.labels[indices], self.transform)

    def transformed(self, transform: Transform) -> MemoryImages:
        return MemoryImages(self.pixels, self.labels, transform)


_KEPT_BYTES = 256 * 2**20


class FileImages:
    """Image files, decoded to RGB, scaled so that the shorter side is ``size``, and cropped to the central square.

    Where the caller's process decodes and all images fit into 256 MiB, each is decoded once and kept.

    Args:
        paths, labels: the files and their classes.
        size: side of the square, pixels.
        workers: processes that decode ahead; with 0 the caller's process decodes.
        transform: of images to train on.
    """

    def __init__(
        self, paths: list[Path], labels: Tensor, size: int, workers: int = 0, transform: Transform | None = None
    ) -> None:
        self.paths = paths
        self.labels = labels
        self.size = size
        self.workers = workers
        self.image_size = (size, size)
        self.transform = transform
        # Processes of their own work ahead already; transforms draw from the global generator.
        self.thread_safe = workers == 0 and transform is None
        small = workers == 0 and len(paths) * 3 * size * size <= _KEPT_BYTES
        self.kept: dict[int, Tensor] | None = {} if small and not (transform and transform.whole) else None

    def subset(self, indices: Tensor) -> FileImages:
        paths = [self.paths[index] for index in indices.tolist()]
        return FileImages(paths, self.labels[indices], self.size, self.workers, self.transform)

    def transformed(self, transform: Transform) -> FileImages:
        return FileImages(self.paths, self.labels, self.size, self.workers, transform)

    def batches(self, chosen: Iterable[Tensor], seeds: Iterator[int] | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        loader: DataLoader[Any] = DataLoader(
            _Decoded(self.paths, self.size, self.transform if seeds is not None else None, self.kept),
            batch_sampler=_Batches(chosen, seeds),
            collate_fn=_keep,
            num_workers=self.workers,
            # Its own generator: a loader draws from the global one at its start, and a resumed run would drift.
            generator=torch.Generator(),
        )
        for decoded in loader:
            for _, pixels in decoded:
                if isinstance(pixels, str):
                    raise InputError(pixels)
            indices = torch.tensor([index for index, _ in decoded])
            yield torch.stack([pixels for _, pixels in decoded]), self.labels[indices]


class _Batches:
    """A batch sampler over given batches of (index, seed), endless ones too (a loader asks it for no length)."""

    def __init__(self, chosen: Iterable[Tensor], seeds: Iterator[int] | None) -> None:
        self.chosen = chosen
        self.seeds = itertools.repeat(0) if seeds is None else seeds

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for indices in self.chosen:  # before its seed, so that no seed is lost at the end
            seed = next(self.seeds)
            yield [(index, seed + at) for at, index in enumerate(indices.tolist())]


class _Decoded(Dataset[tuple[int, "Tensor | str"]]):
    """(index, uint8 [3, size, size]), or (index, what is wrong with the file): an exception raised in a worker would
    arrive wrapped in its traceback. ``kept`` remembers images by index, if it is there."""

    def __init__(
        self, paths: list[Path], size: int, transform: Transform | None, kept: dict[int, Tensor] | None = None
    ) -> None:
        self.paths = paths
        self.size = size
        self.transform = transform
        self.kept = kept

    def __getitem__(self, item: tuple[int, int]) -> tuple[int, Tensor | str]:
        index, seed = item
        path = self.paths[index]
        try:
            image = None if self.kept is None else self.kept.get(index)
            if image is None:
                image = decode(path, None if self.transform is not None and self.transform.whole else self.size)
                if self.kept is not None:
                    self.kept[index] = image
            return index, image if self.transform is None else self.transform(image, seed)
        except InputError as error:
            return index, str(error)
        except Exception as error:  # decoders raise many kinds, struct.error and SyntaxError among them
            if path.exists() and path.stat().st_size == 0:
                return index, f"{path}: expected an image, the file is empty"
            return index, f"{path}: expected an image, cannot decode it ({type(error).__name__}: {error})"


def _keep(batch: Any) -> Any:
    return batch


def decode(path: Path, size: int | None) -> Tensor:
    """One image file as uint8 [3, size, size]: shorter side scaled to ``size``, centre cropped; [3, H, W] as it is
    where ``size`` is None."""
    image_module = require("PIL.Image", "reading image files")
    with image_module.open(path) as file:
        image = file.convert("RGB")
    if size is None:
        return _pixels(image)
    if min(image.size) != size:
        scale = size / min(image.size)
        image = image.resize(
            (max(size, round(image.width * scale)), max(size, round(image.height * scale))),
            image_module.Resampling.BILINEAR,
        )
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return _pixels(image.crop((left, top, left + size, top + size)))


def _pixels(image: Any) -> Tensor:
    import numpy

    return torch.from_numpy(numpy.array(image, dtype=numpy.uint8)).permute(2, 0, 1).contiguous()

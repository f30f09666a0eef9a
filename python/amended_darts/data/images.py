"""Where pixels come from: a tensor in memory, or image files that are decoded as they are needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

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

    def batches(self, chosen: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each tensor of indices the images, uint8 [N, C, H, W], and their labels, int64 [N], in that order."""
        ...


class MemoryImages:
    """Images held in one tensor, uint8 [n, C, H, W]."""

    def __init__(self, pixels: Tensor, labels: Tensor) -> None:
        self.pixels = pixels
        self.labels = labels
        self.image_size = (pixels.shape[2], pixels.shape[3])
        self.thread_safe = True

    def batches(self, chosen: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        for indices in chosen:
            yield self.pixels[indices], self.labels[indices]


class FileImages:
    """Image files, decoded to RGB, scaled so that the shorter side is ``size``, and cropped to the central square.

    Args:
        paths, labels: the files and their classes.
        size: side of the square, pixels.
        workers: processes that decode ahead; with 0 the caller's process decodes.
    """

    def __init__(self, paths: list[Path], labels: Tensor, size: int, workers: int = 0) -> None:
        self.paths = paths
        self.labels = labels
        self.size = size
        self.workers = workers
        self.image_size = (size, size)
        self.thread_safe = workers == 0  # processes of their own work ahead already

    def batches(self, chosen: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        loader: DataLoader[Any] = DataLoader(
            _Decoded(self.paths, self.size),
            batch_sampler=_Batches(chosen),
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
    """A batch sampler over given batches, endless ones too (a loader asks it for no length)."""

    def __init__(self, chosen: Iterable[Tensor]) -> None:
        self.chosen = chosen

    def __iter__(self) -> Iterator[list[int]]:
        return (indices.tolist() for indices in self.chosen)


class _Decoded(Dataset[tuple[int, "Tensor | str"]]):
    """(index, uint8 [3, size, size]), or (index, what is wrong with the file): an exception raised in a worker would
    arrive wrapped in its traceback."""

    def __init__(self, paths: list[Path], size: int) -> None:
        self.paths = paths
        self.size = size

    def __getitem__(self, index: int) -> tuple[int, Tensor | str]:
        path = self.paths[index]
        try:
            return index, decode(path, self.size)
        except InputError as error:
            return index, str(error)
        except Exception as error:  # decoders raise many kinds, struct.error and SyntaxError among them
            return index, f"{path}: expected an image, cannot decode it ({type(error).__name__}: {error})"


def _keep(batch: Any) -> Any:
    return batch


def decode(path: Path, size: int) -> Tensor:
    """One image file as uint8 [3, size, size]: shorter side scaled to ``size``, centre cropped."""
    import numpy

    image_module = require("PIL.Image", "reading image files")
    with image_module.open(path) as file:
        image = file.convert("RGB")
    if min(image.size) != size:
        scale = size / min(image.size)
        image = image.resize(
            (max(size, round(image.width * scale)), max(size, round(image.height * scale))),
            image_module.Resampling.BILINEAR,
        )
    left, top = (image.width - size) // 2, (image.height - size) // 2
    image = image.crop((left, top, left + size, top + size))
    return torch.from_numpy(numpy.array(image, dtype=numpy.uint8)).permute(2, 0, 1).contiguous()

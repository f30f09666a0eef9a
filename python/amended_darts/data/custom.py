"""Data of one's own: tensors, or any pair of PyTorch datasets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from amended_darts import randomness
from amended_darts.data.augment import Transform
from amended_darts.data.images import Images, MemoryImages
from amended_darts.data.sources import DataSet
from amended_darts.errors import InputError

Source = Any  # a Dataset of (image, label), or a pair of tensors: images [n, C, H, W] and labels [n]


def custom_data(
    train: Source,
    heldout: Source,
    *,
    classes: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    pad: int = 0,
    flip: bool = False,
    workers: int = 0,
    name: str = "custom",
) -> DataSet:
    """Images of one's own for ``search(config, data=...)``.

    Args:
        train, heldout: each a pair of tensors, images [n, C, H, W] (uint8 or floating point) and labels [n] from 0; or
            a PyTorch dataset whose items are such an image and such a label. A dataset may draw random numbers from the
            global generators of python, numpy and torch: they are seeded for every batch, so that a search resumes to
            the same bits. Its labels are read once: from ``targets`` or ``labels`` if it has them, else from the items.
        classes: names; by default the dataset's own ``classes``, or the numbers from 0 to the largest label.
        mean, std: per channel, in units of a pixel. By default those of the training images for tensors, and for a
            dataset 0 and 1: what it gives is taken to be normalised.
        pad, flip: random crops after so many pixels of zeros on each side, and horizontal flips.
        workers: processes that make the images of a dataset ahead; 0 makes them in the search itself.
        name: stands for ``--data`` in config.json.

    Raises:
        InputError: what is no pair of tensors or dataset, or does not fit together.
    """
    images = [_images(source, what, workers) for source, what in ((train, "train"), (heldout, "heldout"))]
    shapes = [list(next(part.batches([torch.tensor([0])]))[0].shape[1:]) for part in images]
    if shapes[0] != shapes[1]:
        raise InputError(f"heldout: expected images {shapes[0]} like those of train, got {shapes[1]}")
    names = _classes(train, images, classes)
    if mean is None and std is None and isinstance(images[0], MemoryImages):
        pixels = images[0].pixels.double()
        mean, std = pixels.mean((0, 2, 3)).tolist(), pixels.std((0, 2, 3)).clamp_min(1e-6).tolist()
    channels = shapes[0][0]
    mean, std = (0.0,) * channels if mean is None else mean, (1.0,) * channels if std is None else std
    for what, given in (("mean", mean), ("std", std)):
        if len(given) != channels:
            raise InputError(f"{what}: expected {channels} numbers, one for each channel, got {len(given)}")
    return DataSet(name, images[0], images[1], names, tuple(mean), tuple(std), pad, flip)


def as_data_set(data: Any, workers: int = 0) -> DataSet:
    """A DataSet as it is; a pair (train, heldout) as :func:`custom_data` takes them.

    Raises:
        InputError: neither.
    """
    if isinstance(data, DataSet):
        return data
    if isinstance(data, Sequence) and len(data) == 2:
        return custom_data(*data, workers=workers)
    raise InputError(
        "data: expected a DataSet or a pair (train, heldout), each a dataset or a pair of tensors, "
        f"got {type(data).__name__}"
    )


class DatasetImages:
    """The images of a PyTorch dataset.

    Args:
        dataset: its items are images [C, H, W] and labels.
        labels: int64 [n].
        workers: processes that make them ahead; 0 makes them in the caller's.
    """

    def __init__(
        self, dataset: Dataset[Any], labels: Tensor, workers: int = 0, transform: Transform | None = None
    ) -> None:
        self.dataset = dataset
        self.labels = labels
        self.workers = workers
        self.transform = transform
        self.thread_safe = False  # datasets draw from the global generators
        height, width = _image(dataset, 0).shape[1:]
        self.image_size = (height, width)

    def subset(self, indices: Tensor) -> DatasetImages:
        chosen: Dataset[Any] = Subset(self.dataset, indices.tolist())
        return DatasetImages(chosen, self.labels[indices], self.workers, self.transform)

    def transformed(self, transform: Transform) -> DatasetImages:
        return DatasetImages(self.dataset, self.labels, self.workers, transform)

    def batches(self, chosen: Iterable[Tensor], seeds: Iterator[int] | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        items = _Items(self.dataset, self.transform if seeds is not None else None)
        wanted = ((indices.tolist(), 0 if seeds is None else next(seeds)) for indices in chosen)
        if self.workers == 0:
            for indices, seed in wanted:
                with randomness.preserved():
                    _, pixels = items[indices, seed]
                yield pixels, self.labels[indices]
            return
        loader: DataLoader[Any] = DataLoader(
            items,
            sampler=_Sampler(wanted),
            batch_size=None,
            num_workers=self.workers,
            generator=torch.Generator(),
            collate_fn=lambda batch: batch,
        )
        for indices, pixels in loader:
            yield pixels, self.labels[indices]


class _Sampler:
    """Given batches as a loader's sampler."""

    def __init__(self, wanted: Iterator[tuple[list[int], int]]) -> None:
        self.wanted = wanted

    def __iter__(self) -> Iterator[tuple[list[int], int]]:
        return self.wanted


class _Items(Dataset[Any]):
    """Whole batches: indices and images for ``(indices, seed)``, made after all global generators were seeded."""

    def __init__(self, dataset: Dataset[Any], transform: Transform | None) -> None:
        self.dataset = dataset
        self.transform = transform

    def __getitem__(self, item: tuple[list[int], int]) -> tuple[list[int], Tensor]:
        indices, seed = item
        randomness.seed_everything(seed)
        images = [_image(self.dataset, index) for index in indices]
        if self.transform is not None:
            images = [self.transform(image, seed + at) for at, image in enumerate(images)]
        return indices, torch.stack(images)


def _images(source: Source, what: str, workers: int) -> Images:
    if isinstance(source, Sequence) and len(source) == 2 and all(isinstance(part, Tensor) for part in source):
        pixels, labels = source
        if pixels.dim() != 4 or labels.shape != pixels.shape[:1]:
            came = f"{list(pixels.shape)} and {list(labels.shape)}"
            raise InputError(f"{what}: expected images [n, C, H, W] and labels [n], got {came}")
        if len(pixels) == 0:
            raise InputError(f"{what}: expected one image at least, got none")
        return MemoryImages(pixels, _checked(labels, what))
    if not hasattr(source, "__getitem__") or not hasattr(source, "__len__") or isinstance(source, Sequence | Tensor):
        raise InputError(
            f"{what}: expected a pair of tensors or a dataset with a length and items (image, label), "
            f"got {type(source).__name__}"
        )
    if len(source) == 0:
        raise InputError(f"{what}: expected one image at least, got none")
    return DatasetImages(source, _checked(_labels(source), what), workers)


def _labels(dataset: Any) -> Tensor:
    for name in ("targets", "labels"):
        known = getattr(dataset, name, None)
        if known is not None and len(known) == len(dataset):
            return torch.as_tensor(known)
    with randomness.preserved():
        return torch.tensor([int(dataset[index][1]) for index in range(len(dataset))])


def _checked(labels: Tensor, what: str) -> Tensor:
    if labels.is_floating_point() or labels.is_complex() or (labels.numel() > 0 and int(labels.min()) < 0):
        raise InputError(f"{what}: expected labels that are integers from 0, got {labels.dtype} from {labels.min()}")
    return labels.long()


def _image(dataset: Any, index: int) -> Tensor:
    image = dataset[index][0]
    if not isinstance(image, Tensor) or image.dim() != 3:
        came = f"{list(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise InputError(f"item {index} of the dataset: expected an image that is a tensor [C, H, W], got {came}")
    return image


def _classes(source: Source, images: list[Images], classes: Sequence[str] | None) -> tuple[str, ...]:
    largest = max(int(part.labels.max()) for part in images)
    names = getattr(source, "classes", None) if classes is None else classes
    names = tuple(map(str, range(largest + 1) if names is None else names))
    if largest >= len(names):
        raise InputError(f"classes: expected {largest + 1} names, as the largest label is {largest}, got {len(names)}")
    return names

"""Endless streams of training batches whose every batch is a function of (seed, stream, step) and of nothing else.

That is what makes a search resumable at any step: there is no sampler state, only a step number.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from amended_darts.data.cutout import cutout
from amended_darts.data.generators import HALVES, generator
from amended_darts.data.images import Images
from amended_darts.data.sources import DataSet
from amended_darts.errors import InputError


def seeded_halves(count: int, portion: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices 0..count-1 dealt at random to w (``portion`` of them) and α (the rest).

    Raises:
        InputError: one part would have fewer than two images.
    """
    order = torch.randperm(count, generator=generator(seed, HALVES))
    size = int(count * portion)
    if min(size, count - size) < 2:
        raise InputError(
            f"--train-portion: expected at least 2 images for w and 2 for α, got {size} and {count - size}"
        )
    return order[:size], order[size:]


class Stream:
    """Batches of one half of the training images, shuffled anew in every pass, augmented and normalised.

    The last images of a pass that do not fill a batch are left out of that pass: every batch has the same size. With
    several processes each gets every so many-th image of each batch; together they hold the batch of a single process,
    and augment it by numbers of their own.

    Args:
        data: the data set.
        indices: the half.
        batch_size: images per batch over all processes; less where the half is smaller.
        seed: of the run.
        order, augment: purposes (``WEIGHT_ORDER``, ...), so that streams do not share random numbers.
        device: where the batches go.
        cutout: side of the square erased in each image, pixels, at most half the image's.
        shard: this process's number and how many there are.
    """

    def __init__(
        self,
        data: DataSet,
        indices: Tensor,
        batch_size: int,
        seed: int,
        order: int,
        augment: int,
        device: torch.device,
        cutout: int = 0,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        self.data = data
        self.indices = indices
        self.rank, self.ranks = shard
        self.batch_size = min(batch_size, len(indices)) // self.ranks * self.ranks
        self.seed = seed
        self.purposes = order, augment
        self.prepare = Preparation(data, device)
        self.cutout = min(cutout, min(data.image_size) // 2)

    @property
    def steps_per_pass(self) -> int:
        """Batches in a pass over the half."""
        return len(self.indices) // self.batch_size

    def batches(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches from ``step`` (counted over all passes) on, without end: float32 [N, C, H, W] and int64 [N]."""
        chosen = (batch[self.rank :: self.ranks] for batch in self._chosen(step))
        for pixels, labels in self.data.train.batches(chosen, self._seeds(step)):
            images = self.prepare(pixels, self._generator(step, 0))
            images = cutout(images, self.cutout, self._generator(step, 1))
            yield images, labels.to(self.prepare.device)
            step += 1

    def _generator(self, step: int, use: int) -> torch.Generator:
        """For one of the uses of random numbers (crops, cutout, transforms) in one batch of this process."""
        key = [step, use, self.rank] if self.rank else [step, use] if use else [step]
        return generator(self.seed, self.purposes[1], *key)

    def _seeds(self, step: int) -> Iterator[int]:
        """Of the transforms, one number for each batch."""
        for number in itertools.count(step):
            yield int(torch.randint(2**62, (), generator=self._generator(number, 2)))

    def sample(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The first ``count`` images of the half, as far as they fill whole batches (one at least), in a fixed order,
        not augmented."""
        batches = max(1, min(count, len(self.indices)) // self.batch_size)
        chosen = self.indices[: batches * self.batch_size].split(self.batch_size)
        for pixels, labels in self.data.train.batches(batch[self.rank :: self.ranks] for batch in chosen):
            yield self.prepare(pixels), labels.to(self.prepare.device)

    def _chosen(self, step: int) -> Iterator[Tensor]:
        number, position = divmod(step, self.steps_per_pass)
        while True:
            order = self.indices[
                torch.randperm(len(self.indices), generator=generator(self.seed, self.purposes[0], number))
            ]
            for first in range(position * self.batch_size, self.steps_per_pass * self.batch_size, self.batch_size):
                yield order[first : first + self.batch_size]
            number, position = number + 1, 0


class Preparation:
    """uint8 images to normalised float32 on the device; with a generator, randomly cropped and flipped on the way."""

    def __init__(self, data: DataSet, device: torch.device) -> None:
        self.device = device
        self.pad = data.pad
        self.flip = data.flip
        self.mean = torch.tensor(data.mean, device=device).view(-1, 1, 1)
        self.std = torch.tensor(data.std, device=device).view(-1, 1, 1)

    def __call__(self, pixels: Tensor, random: torch.Generator | None = None) -> Tensor:
        pixels = pixels.to(self.device)
        if random is not None and (self.pad or self.flip):
            pixels = self._augment(pixels, random)
        return (pixels.float() - self.mean) / self.std

    def _augment(self, pixels: Tensor, random: torch.Generator) -> Tensor:
        count, _, height, width = pixels.shape
        # Drawn on the CPU whatever the device, so that a seed means the same images everywhere.
        top, left = torch.randint(2 * self.pad + 1, (2, count, 1), generator=random)
        rows = top + torch.arange(height)  # [N, H]
        columns = left + torch.arange(width)  # [N, W]
        if self.flip:
            flipped = torch.rand(count, 1, generator=random) < 0.5
            columns = torch.where(flipped, columns.flip(1), columns)
        padded = torch.nn.functional.pad(pixels, (self.pad,) * 4)
        sample = torch.arange(count, device=self.device).view(-1, 1, 1)
        rows, columns = rows.to(self.device).unsqueeze(2), columns.to(self.device).unsqueeze(1)
        return padded.permute(0, 2, 3, 1)[sample, rows, columns].permute(0, 3, 1, 2).contiguous()


def heldout_batches(
    data: DataSet, batch_size: int, device: torch.device, shard: tuple[int, int] = (0, 1)
) -> Iterator[tuple[Tensor, Tensor]]:
    """All held-out images once, in order, normalised; the last batch may be smaller. With several processes each gets
    every so many-th batch: ``shard`` is its number and how many there are."""
    prepare = Preparation(data, device)
    images: Images = data.heldout
    rank, ranks = shard
    for pixels, labels in images.batches(iter(torch.arange(len(images.labels)).split(batch_size)[rank::ranks])):
        yield prepare(pixels), labels.to(device)

"""A part of the images, with the same share of every class."""

from __future__ import annotations

import torch
from torch import Tensor

from amended_darts.data.generators import FRACTION, generator


def balanced_fraction(labels: Tensor, fraction: float, seed: int) -> Tensor:
    """Indices of ``fraction`` of every class's images, at least one of each, chosen at random, in ascending order.

    A larger fraction of the same seed holds all images of a smaller one.

    Args:
        labels: int64 [n].
        fraction: above 0, at most 1.
        seed: of the run.
    """
    order = torch.randperm(len(labels), generator=generator(seed, FRACTION))
    chosen = []
    for label in labels.unique():
        images = order[labels[order] == label]
        chosen.append(images[: max(1, round(len(images) * fraction))])
    return torch.cat(chosen).sort().values

"""Cutout (arXiv 1708.04552): a square of each training image is erased."""

from __future__ import annotations

import torch
from torch import Tensor


def cutout(images: Tensor, side: int, random: torch.Generator) -> Tensor:
    """Normalised images [N, C, H, W] with a square of zeros, the mean, in each.

    The centre is uniform over the image and the square is cut off at the border, as in the paper's section 3.2.

    Args:
        side: of the square, pixels; 0 erases nothing.
        random: a generator on the CPU, so that a seed means the same squares on every device.
    """
    if side == 0:
        return images
    count, _, height, width = images.shape
    erased = torch.ones(count, 1, 1, 1, dtype=torch.bool)
    for axis, size in ((2, height), (3, width)):
        first = torch.randint(size, (count, 1, 1, 1), generator=random) - side // 2
        place = torch.arange(size).view([-1 if dim == axis else 1 for dim in range(4)])
        erased = erased & (place >= first) & (place < first + side)
    return images.masked_fill(erased.to(images.device), 0.0)

"""Augmentations by name. The standard one is the package's own; the others are torchvision's transforms v2, image by
image, each from a seed of its own, so that a resumed run draws what the uninterrupted one drew."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from amended_darts.augmentations import AUGMENTATIONS
from amended_darts.errors import InputError
from amended_darts.extras import require


class Transform:
    """A transform of torchvision for one image, uint8 [C, H, W], that draws from nothing but its seed.

    Attributes:
        whole: it wants the image as it is on disk, and gives it the right size itself; and it flips.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], whole: bool) -> None:
        self.function = function
        self.whole = whole

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        # torchvision draws from the global generator: this is for processes or threads that are alone with it.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.function(image)


def find_transform(name: str, size: int, flip: bool) -> Transform | None:
    """The transform of torchvision that belongs to an augmentation; None for those that need none.

    Args:
        name: of ``AUGMENTATIONS``.
        size: side of the images that come out, pixels.
        flip: whether flipped images are images of the same kind.

    Raises:
        InputError: an unknown name, or torchvision is not there.
    """
    if name not in AUGMENTATIONS:
        raise InputError(f"--augment: expected one of {', '.join(AUGMENTATIONS)}, got '{name}'")
    if name in ("standard", "none"):
        return None
    v2 = require("torchvision.transforms.v2", f"--augment {name}", "torchvision")
    if name == "imagenet":
        steps = [v2.RandomResizedCrop(size, antialias=True)]
        steps += [v2.RandomHorizontalFlip()] if flip else []
        return Transform(v2.Compose([*steps, v2.ColorJitter(0.4, 0.4, 0.4)]), whole=True)
    return Transform({"trivial": v2.TrivialAugmentWide, "randaugment": v2.RandAugment}[name](), whole=False)

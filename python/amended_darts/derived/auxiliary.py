"""Auxiliary heads: a second classifier at two thirds of the depth whose loss joins the main one in training."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class AuxiliaryHead(nn.Module):
    """ReLU, average pool to 2x2, 1x1 convolution to 128 channels, 2x2 convolution to 768, linear (as in DARTS).

    The pool is DARTS' own, 5x5 windows in steps of 3 (CIFAR) or 2 (ImageNet), where the image has the size these are
    made for (8x8, 7x7), and an adaptive pool elsewhere.

    Args:
        channels: of the input.
        classes: number of classes.
        size: side of the image that the pool of 5x5 is made for.
        last_norm: BN after the 2x2 convolution; DARTS' networks for ImageNet have none there.

    Shapes: x [N, channels, H, W] with any H and W; logits [N, classes].
    """

    def __init__(self, channels: int, classes: int, size: int, last_norm: bool) -> None:
        super().__init__()
        self.size = size
        self.features = nn.Sequential(
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768) if last_norm else nn.Identity(),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        if tuple(x.shape[2:]) == (self.size, self.size):
            x = F.avg_pool2d(x, 5, self.size - 5)
        else:
            x = F.adaptive_avg_pool2d(x, 2)
        return self.classifier(self.features(x).flatten(1))

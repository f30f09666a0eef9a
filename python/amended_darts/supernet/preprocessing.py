"""What brings a cell's inputs to the cell's own size and number of channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FactorizedReduce(nn.Module):
    """ReLU, two 1x1 convolutions of stride 2 on the even and the odd pixels, concatenated, BN; odd sizes round up."""

    def __init__(self, channels_in: int, channels_out: int, affine: bool = False) -> None:
        super().__init__()
        half = channels_out // 2
        self.even = nn.Conv2d(channels_in, half, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(channels_in, channels_out - half, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(channels_out, affine=affine)

    def forward(self, x: Tensor) -> Tensor:  # [N, C, H, W] -> [N, C', ceil(H / 2), ceil(W / 2)]
        x = F.relu(x)
        height, width = x.shape[2:]
        shifted = F.pad(x, (0, width % 2, 0, height % 2))[:, :, 1:, 1:]  # a pixel of zeros where the size is odd
        return self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))


class ReLUConvNorm(nn.Sequential):
    """ReLU, 1x1 convolution, BN: brings a cell's input to the cell's own number of channels."""

    def __init__(self, channels_in: int, channels_out: int, affine: bool = False) -> None:
        super().__init__(
            nn.ReLU(), nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out, affine=affine)
        )

"""``noise``, the useless operator of robust-s4: a search that prefers it has gone wrong (arXiv 1909.09656).

Plain torch.nn, for super-network and derived network alike.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Noise(nn.Module):
    """N(0, 1) of the output's shape, whatever the input: [N, C, H, W] -> [N, C, ceil(H / stride), ceil(W / stride)].

    Drawn from PyTorch's global generator of the input's device.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.randn_like(x[:, :, :: self.stride, :: self.stride], memory_format=torch.contiguous_format)


def noise(channels: int, stride: int) -> nn.Module:
    """The candidate as ``MixedEdges`` asks for it; noise looks the same for any number of channels."""
    return Noise(stride)

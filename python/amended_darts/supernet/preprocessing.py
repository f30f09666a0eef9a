"""What brings states to another size and number of channels: before a cell, and between stages of cells.

Each is one candidate of the operator with weight 1, so that backward keeps x alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from amended_darts_ext import MixedOp


class SingleOperator(nn.Module):
    """One candidate that sets the number of channels, with weight 1.

    State dict: ``mixed.params.<candidate>.<i>``, ``mixed.running_mean``, ``mixed.running_var``; with ``affine`` also
    ``mixed.bn_weight``, ``mixed.bn_bias``. Shapes: x [N, C, H, W]; output [N, C', ceil(H / stride), ceil(W / stride)].

    Args:
        candidate: ``nor_conv_*``, or ``skip_connect`` with stride 2.
        channels_in, channels_out: C and C'.
        stride: 1 or 2.
        mixed: further settings of ``MixedOp``.
    """

    def __init__(self, candidate: str, channels_in: int, channels_out: int, stride: int, **mixed: Any) -> None:
        super().__init__()
        self.mixed = MixedOp(channels_in, stride, (candidate,), out_channels=channels_out, **mixed)
        self.register_buffer("one", torch.ones(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.mixed(x, self.get_buffer("one"))


class Preprocess(SingleOperator):
    """ReLU, 1x1 convolution, BN; where ``halve`` is set FactorizedReduce: half the size, rounded up."""

    def __init__(self, channels_in: int, channels_out: int, halve: bool, **mixed: Any) -> None:
        candidate, stride = ("skip_connect", 2) if halve else ("nor_conv_1x1", 1)
        super().__init__(candidate, channels_in, channels_out, stride, **mixed)


class MixedResidualReduction(nn.Module):
    """``amended_darts.residual.ResidualReduction`` on the operator: the same function, half of what it saves."""

    def __init__(self, channels_in: int, channels_out: int, **mixed: Any) -> None:
        super().__init__()
        mixed = {**mixed, "affine": True}
        self.convolutions = nn.Sequential(
            SingleOperator("nor_conv_3x3", channels_in, channels_out, 2, **mixed),
            SingleOperator("nor_conv_3x3", channels_out, channels_out, 1, **mixed),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(channels_in, channels_out, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:  # [N, C, H, W] -> [N, C', ceil(H / 2), ceil(W / 2)]
        return self.shortcut(x) + self.convolutions(x)

"""What brings a cell's inputs to the cell's own size and number of channels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from amended_darts_ext import MixedOp


class Preprocess(nn.Module):
    """ReLU, 1x1 convolution, BN; where ``halve`` is set FactorizedReduce, whose output has half the size, rounded up.

    One candidate of the operator with weight 1, so that backward keeps x alone. State dict:
    ``mixed.params.<nor_conv_1x1 or skip_connect>.<i>``, ``mixed.running_mean``, ``mixed.running_var``; with ``affine``
    also ``mixed.bn_weight``, ``mixed.bn_bias``.

    Args:
        channels_in, channels_out: C and C'.
        halve: the input has twice the size.
        mixed: further settings of ``MixedOp``.
    """

    def __init__(self, channels_in: int, channels_out: int, halve: bool, **mixed: Any) -> None:
        super().__init__()
        candidate, stride = ("skip_connect", 2) if halve else ("nor_conv_1x1", 1)
        self.mixed = MixedOp(channels_in, stride, (candidate,), out_channels=channels_out, **mixed)
        self.register_buffer("one", torch.ones(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # [N, C, H, W] -> [N, C', H, W] or [N, C', ceil(H / 2), ceil(W / 2)]
        return self.mixed(x, self.get_buffer("one"))

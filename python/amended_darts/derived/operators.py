"""The operators of derived networks as plain torch.nn modules, by the names of the operator library.

Definitions are those of the public DARTS code of 2018 and, for ``nor_conv_*``, of NAS-Bench-201. Every operator maps
[N, C, H, W] to [N, C, ceil(H / stride), ceil(W / stride)]; convolutions have no bias.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amended_darts.noise import Noise
from amended_darts.spaces import CUSTOM


class FactorizedReduce(nn.Module):
    """ReLU, two 1x1 convolutions of stride 2 on the even and the odd pixels, concatenated, BN; odd sizes round up."""

    def __init__(self, channels_in: int, channels_out: int, affine: bool = False) -> None:
        super().__init__()
        half = channels_out // 2
        # One channel leaves the even pixels without a filter, which nn.Conv2d does not take.
        self.even = nn.Conv2d(channels_in, half, 1, stride=2, bias=False) if half else None
        self.odd = nn.Conv2d(channels_in, channels_out - half, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(channels_out, affine=affine)

    def forward(self, x: Tensor) -> Tensor:  # [N, C, H, W] -> [N, C', ceil(H / 2), ceil(W / 2)]
        x = F.relu(x)
        height, width = x.shape[2:]
        shifted = F.pad(x, (0, width % 2, 0, height % 2))[:, :, 1:, 1:]  # a pixel of zeros where the size is odd
        halves = [self.odd(shifted)] if self.even is None else [self.even(x), self.odd(shifted)]
        return self.norm(torch.cat(halves, dim=1))


class ReLUConvNorm(nn.Sequential):
    """ReLU, convolution, BN: ``nor_conv_*``, and what brings a cell's input to the cell's own number of channels."""

    def __init__(
        self, channels_in: int, channels_out: int, affine: bool = False, kernel: int = 1, stride: int = 1
    ) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(channels_out, affine=affine),
        )


class DepthwiseHalf(nn.Sequential):
    """ReLU, depthwise kxk, 1x1, BN: once in a dilated convolution, twice in a separable one."""

    def __init__(self, channels: int, kernel: int, stride: int, dilation: int, affine: bool) -> None:
        padding = kernel // 2 * dilation
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels, affine=affine),
        )


class Zero(nn.Module):
    """``none``: zeros of the output's size."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


def make_operator(name: str, channels: int, stride: int, affine: bool = True, pool_norm: bool = False) -> nn.Module:
    """The operator of that name.

    Args:
        name: one of ``amended_darts.spaces.OPERATORS``, or registered; one of the latter gets neither ``affine`` nor
            ``pool_norm``.
        channels: C of input and output.
        stride: 1 or 2.
        affine: BN with learnable weight and bias.
        pool_norm: BN after the pools, as in search.

    Raises:
        ValueError: an unknown name.
    """
    kind, _, kernel = name.rpartition("_")
    size = int(kernel[0]) if kernel[:1].isdigit() else 0
    if name == "none":
        return Zero(stride)
    if name == "noise":
        return Noise(stride)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine)
    if kind in ("max_pool", "avg_pool"):
        pool: nn.Module = (
            nn.MaxPool2d(size, stride, size // 2)
            if kind == "max_pool"
            else nn.AvgPool2d(size, stride, size // 2, count_include_pad=False)
        )
        return nn.Sequential(pool, nn.BatchNorm2d(channels, affine=affine)) if pool_norm else pool
    if kind == "sep_conv":
        return nn.Sequential(
            DepthwiseHalf(channels, size, stride, 1, affine), DepthwiseHalf(channels, size, 1, 1, affine)
        )
    if kind == "dil_conv":
        return DepthwiseHalf(channels, size, stride, 2, affine)
    if kind == "nor_conv":
        return ReLUConvNorm(channels, channels, affine, size, stride)
    if name in CUSTOM:
        return CUSTOM[name](channels, stride)
    raise ValueError(f"name: expected an operator of amended_darts.spaces.OPERATORS, got '{name}'")


def drop_path(x: Tensor, probability: float) -> Tensor:
    """Drops whole samples with ``probability`` and scales up the others, so that the mean stays (FractalNet,
    arXiv 1605.07648, section 3.1; one draw per sample as in DARTS).

    x [N, C, H, W]; the masks come from PyTorch's global generator of x's device.
    """
    if probability == 0.0:
        return x
    kept = 1.0 - probability
    mask = torch.empty(x.shape[0], 1, 1, 1, dtype=x.dtype, device=x.device).bernoulli_(kept)
    return x * (mask / kept)

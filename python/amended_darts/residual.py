"""The residual block that halves the image between the stages of NAS-Bench-201 (arXiv 2001.00326, section 2.1)."""

from __future__ import annotations

from torch import Tensor, nn


class ResidualReduction(nn.Module):
    """Two ReLU-Conv3x3-BN, the first of stride 2, plus average pooling and a 1x1 convolution.

    Odd sizes round up. Shapes: x [N, channels_in, H, W]; output [N, channels_out, ceil(H / 2), ceil(W / 2)].
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(channels_in, channels_out, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.convolutions(x)

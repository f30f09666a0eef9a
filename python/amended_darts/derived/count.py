"""The size and the cost of a network: parameters and multiply-adds."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(network: nn.Module, auxiliary: bool = False) -> int:
    """Number of learnable weights; those of modules named ``auxiliary`` count only if asked for, as is the custom."""
    return sum(
        weight.numel() for name, weight in network.named_parameters() if auxiliary or "auxiliary" not in name.split(".")
    )


def count_multiply_adds(network: nn.Module, image: tuple[int, int, int], elementwise: bool = False) -> int:
    """Multiply-adds of one image of shape [C, H, W], in evaluation; nothing is computed.

    Convolutions and linear layers count; with ``elementwise`` also BN (two for each value), ReLU and pools (one for
    each), which is how the figures of P-DARTS (557 M) and PC-DARTS (597 M) on ImageNet were counted.
    """
    shadow = copy.deepcopy(network).to("meta").eval()
    rest = 0

    def add(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal rest
        if isinstance(module, nn.BatchNorm2d):
            rest += 2 * output.numel()
        elif isinstance(module, nn.MaxPool2d | nn.AvgPool2d | nn.ReLU):
            rest += inputs[0].numel()

    for module in shadow.modules():
        module.register_forward_hook(add)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(torch.empty(1, *image, device="meta"))
    return counter.get_total_flops() // 2 + (rest if elementwise else 0)

"""Calls that launch every CUDA kernel: what the budget reads launches and shared memory from."""

from __future__ import annotations

import torch

import amended_darts_ext as ext

from ..ops.calls import Call
from . import emulator


def perturbation(dtype: torch.dtype) -> None:
    """Each perturbation operator once."""
    lists = [[torch.randn(5000, dtype=dtype), torch.randn(7, 3, dtype=dtype)] for _ in range(3)]
    step = ext.step_size(lists[0], 0.01)
    ext.perturb_(*lists, step)
    ext.central_difference(lists[0], lists[1], step)


def mixed_edges(dtype: torch.dtype, allow_tf32: bool = False) -> None:
    """Forward and backward, in the numbers of channels that have kernels of their own."""
    for c, stride in ((16, 1), (32, 2), (64, 1)):
        arguments = Call(n=1, c=c, h=8, w=8, stride=stride, dtype=dtype).arguments()
        y, *_ = ext.mixed_edges(**arguments, allow_tf32=allow_tf32)
        y[0].sum().backward()


def run_all() -> list[emulator.Launch]:
    """The launches of all calls."""
    emulator.load()
    emulator.take_launches()
    for dtype in (torch.float32, torch.float64):
        perturbation(dtype)
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        mixed_edges(dtype)
    mixed_edges(torch.float32, allow_tf32=True)
    return emulator.take_launches()

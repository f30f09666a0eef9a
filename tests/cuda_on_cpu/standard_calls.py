"""Calls that launch every CUDA kernel: what the budget reads launches and shared memory from."""

from __future__ import annotations

import torch

import amended_darts_ext as ext

from . import emulator


def perturbation(dtype: torch.dtype) -> None:
    """Each perturbation operator once."""
    lists = [[torch.randn(5000, dtype=dtype), torch.randn(7, 3, dtype=dtype)] for _ in range(3)]
    step = ext.step_size(lists[0], 0.01)
    ext.perturb_(*lists, step)
    ext.central_difference(lists[0], lists[1], step)


def run_all() -> list[emulator.Launch]:
    """The launches of all calls."""
    emulator.load()
    emulator.take_launches()
    for dtype in (torch.float32, torch.float64):
        perturbation(dtype)
    return emulator.take_launches()

"""Bytes of global memory that each launch moves, and launches of each call, pinned at what the algorithm needs.

Unique bytes: each byte once, whatever the number of threads that load it, as a perfect cache would fetch it. Loads that
several threads repeat are bounded beside them.
"""

from __future__ import annotations

import pytest
import torch

import amended_darts_ext as ext

from . import emulator
from .emulator import Launch, take_launches

pytestmark = emulator.needed

SIZES = [5000, 21, 4096, 1]  # elements of the tensors of a list
CHUNK = 4096  # elements of a block
N = sum(SIZES)
CHUNKS = sum(-(-size // CHUNK) for size in SIZES)


def lists(dtype: torch.dtype, count: int) -> list[list[torch.Tensor]]:
    return [[torch.randn(size, dtype=dtype) for size in SIZES] for _ in range(count)]


def launched(kernel: str, loaded: int, stored: int, launch: Launch, repeated: float = 1.1) -> None:
    """It was that kernel, which moved so many unique bytes, and loaded none much more often than once."""
    assert launch.kernel == f"amended_darts::perturbation::{kernel}"
    assert (launch.unique_loaded, launch.unique_stored) == (loaded, stored)
    assert launch.stored == stored, "stored twice"
    assert launch.loaded <= repeated * loaded


@pytest.fixture(params=[torch.float32, torch.float64])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    take_launches()
    return request.param


def test_perturb(dtype: torch.dtype) -> None:
    """Two lists and one number in, one list out. Every thread of 256 loads the number: 1 / 32 of a list."""
    weights, origin, direction = lists(dtype, 3)
    step = torch.ones((), dtype=dtype)
    ext.perturb_(weights, origin, direction, step)
    (launch,) = take_launches()
    size, name = dtype.itemsize, "float" if dtype == torch.float32 else "double"
    launched(f"perturb_kernel<{name}>", (2 * N + 1) * size, N * size, launch)


def test_central_difference(dtype: torch.dtype) -> None:
    """As perturb_."""
    plus, minus = lists(dtype, 2)
    ext.central_difference(plus, minus, torch.ones((), dtype=dtype))
    (launch,) = take_launches()
    size, name = dtype.itemsize, "float" if dtype == torch.float32 else "double"
    launched(f"central_difference_kernel<{name}>", (2 * N + 1) * size, N * size, launch)


def test_norm(dtype: torch.dtype) -> None:
    """The list in, a float64 sum for each block of 4096 elements out; then those sums in, one number out."""
    (tensors,) = lists(dtype, 1)
    size, name = dtype.itemsize, "float" if dtype == torch.float32 else "double"
    for call in (lambda: ext.global_norm(tensors), lambda: ext.step_size(tensors, 0.1)):
        call()
        squares, finish = take_launches()
        launched(f"squares_kernel<{name}>", N * size, 8 * CHUNKS, squares)
        launched(f"finish_norm_kernel<{name}>", 8 * CHUNKS, size, finish)


def test_a_launch_takes_600_tensors(dtype: torch.dtype) -> None:
    many = [[torch.ones(3, dtype=dtype) for _ in range(1201)] for _ in range(3)]
    ext.perturb_(*many, torch.ones((), dtype=dtype))
    assert [launch.grid for launch in take_launches()] == [(600, 1, 1), (600, 1, 1), (1, 1, 1)]
    ext.global_norm(many[0])
    assert len(take_launches()) == 4

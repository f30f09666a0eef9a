"""What the launches of mixed_edges move, pinned at what the plan of csrc/cuda/mixed needs (transfers.py)."""

from __future__ import annotations

import re

import pytest
import torch

from amended_darts_ext import DARTS, mixed_edges

from ..ops.calls import Call
from . import emulator
from .emulator import Launch, take_launches
from .transfers import (
    BACKWARD,
    FORWARD,
    NASBENCH,
    NASBENCH_BACKWARD,
    NASBENCH_FORWARD,
    STRIDED_BACKWARD,
    STRIDED_FORWARD,
    WIDE_BACKWARD,
    moved,
)

pytestmark = emulator.needed


def names(launches: list[Launch]) -> list[str]:
    return [re.findall(r"(\w+)_kernel<", launch.kernel)[0] for launch in launches]


def launches(call: Call) -> list[Launch]:
    take_launches()
    y, *_ = mixed_edges(**call.arguments())
    torch.autograd.backward(y, [torch.randn_like(out) for out in y])  # not the expanded number that sum() gives
    return take_launches()


@pytest.mark.parametrize(
    ("call", "plan", "total"),
    [
        (Call(n=4, c=16, h=16, w=16), FORWARD + BACKWARD, 15 + 37),
        (Call(n=4, c=32, h=16, w=16), FORWARD + BACKWARD, 15 + 37),
        (Call(n=16, c=64, h=8, w=8), FORWARD + BACKWARD, 15 + 37),
        (Call(n=4, c=72, h=8, w=8), FORWARD + WIDE_BACKWARD, 15 + 45),
        (Call(n=2, c=96, h=14, w=14), FORWARD + WIDE_BACKWARD, 15 + 45),
        (
            Call(n=8, c=16, h=16, w=16, candidates=NASBENCH, pool_norm=False),
            NASBENCH_FORWARD + NASBENCH_BACKWARD,
            7 + 21,
        ),
        (Call(n=4, c=16, h=32, w=32, stride=2), STRIDED_FORWARD + STRIDED_BACKWARD, 23 + 64),
    ],
    ids=[
        "16 channels",
        "32 channels",
        "64 channels",
        "72 channels",
        "96 channels of 14 x 14",
        "NAS-Bench-201",
        "stride 2",
    ],
)
def test_transfers(call: Call, plan: list[tuple[str, int, int]], total: int) -> None:
    assert sum(loaded + stored for _, loaded, stored in plan) == total
    names_of = DARTS if call.candidates == Call().candidates else call.candidates
    call = Call(**{**call.__dict__, "candidates": names_of, "dtype": torch.float32})
    found = launches(call)
    assert names(found) == [name for name, _, _ in plan]
    activation = 4 * call.n * call.c * call.h * call.w // call.stride**2
    parameters = 4 * sum(p.numel() for p in call.arguments()["params"]) / activation
    tiles = 2 / 64 * 12  # sums of a tile for each of up to twelve BNs
    for launch, (name, loaded, stored) in zip(found, plan, strict=True):
        partial = 0.0
        if name in ("convolution_backward", "parameters"):
            partial = 264 * parameters  # at most so many blocks write a part of them each
        where = f"{launch.kernel}: {launch.unique_loaded / activation:.2f}, {launch.unique_stored / activation:.2f}"
        # An activation may be read in part: FactorizedReduce skips half of the pixels.
        assert loaded - 0.1 <= launch.unique_loaded / activation <= loaded + parameters + tiles + partial, where
        assert stored <= launch.unique_stored / activation + 1e-6, where
        assert launch.unique_stored / activation <= stored + parameters + tiles + partial, where
        assert launch.stored == launch.unique_stored, f"{launch.kernel} stores twice"


@pytest.mark.parametrize(
    ("c", "h", "w", "dtype"),
    [
        (48, 8, 112, torch.float32),
        (48, 8, 56, torch.bfloat16),
        (96, 8, 28, torch.float32),
        (192, 8, 14, torch.bfloat16),
        (192, 7, 7, torch.float32),
        (384, 7, 7, torch.float32),
    ],
    ids=str,
)
def test_shapes_of_imagenet(c: int, h: int, w: int, dtype: torch.dtype) -> None:
    """What ``moved`` counts, parameters and sums too.

    A row of tiles of one image stands for the whole batch: a block works on one tile and reads its halo, whatever lies
    beyond, so that bytes grow with the number of tiles. What does not, the parameters and their partial gradients, is
    counted apart.
    """
    found = launches(Call(n=1, c=c, h=h, w=w, candidates=DARTS, dtype=dtype))
    plan = FORWARD + (BACKWARD if c <= 64 else WIDE_BACKWARD)
    assert names(found) == [name for name, _, _ in plan]
    activation = dtype.itemsize * c * h * w
    total = sum(launch.unique_loaded + launch.unique_stored for launch in found) / activation
    assert total == pytest.approx(moved(1, c, h, w, dtype.itemsize), rel=0.002)
    assert all(launch.stored == launch.unique_stored for launch in found)


def test_edges_share_their_state() -> None:
    """Two edges in one set of launches: x is read once for both."""
    one, two = (
        launches(Call(n=4, c=16, h=16, w=16, edges=edges, candidates=DARTS, dtype=torch.float32)) for edges in (1, 2)
    )
    assert len(one) == len(two) == 5 + 11
    activation = 4 * 4 * 16 * 16 * 16
    for a, b in zip(one, two, strict=True):
        if names([a]) == ["combine"]:
            assert b.unique_loaded - a.unique_loaded == pytest.approx(4 * activation, rel=0.02)


def test_only_what_is_asked_for_is_computed() -> None:
    """With frozen parameters and x, backward ends with the sums; with x alone, no partial gradients are written."""

    def kernels(*frozen: str) -> list[str]:
        arguments = Call(n=2, c=16, h=8, w=8, candidates=DARTS, dtype=torch.float32).arguments()
        for p in arguments["params"]:
            p.requires_grad_("params" not in frozen)
        for name in ("x", "weights"):
            arguments[name].requires_grad_(name not in frozen)
        y, *_ = mixed_edges(**arguments)
        take_launches()
        y[0].sum().backward()
        return names(take_launches())

    assert kernels("params", "x") == ["convolution", "convolution", "reduce", "sums", "factor"]
    assert "parameters" not in kernels("params")
    assert kernels("params")[-1] == "input_backward"
    assert "input_backward" not in kernels("x")
    assert "factor" not in kernels("weights")

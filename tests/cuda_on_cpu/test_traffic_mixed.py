"""What the launches of mixed_edges move, pinned at what the plan of csrc/cuda/mixed needs, in activations of one edge.

x1, g: the state and the gradient of y; z1, z1': hidden activations of both separable convolutions before BN, and the
gradients of their BNs' outputs; zd: the dilated ones' outputs; d: gradients of depthwise outputs. Beyond these a launch
moves parameters, statistics and sums of tiles (2 numbers for 64 positions), and the parameters' partial gradients.
"""

from __future__ import annotations

import re

import pytest
import torch

from amended_darts_ext import DARTS, mixed_edges

from ..ops.calls import Call
from . import emulator
from .emulator import Launch, take_launches

pytestmark = emulator.needed

FORWARD = [
    ("convolution", 1, 4),  # x -> z1, z1, zd, zd; pools' statistics from the same x
    ("statistics", 0, 0),
    ("convolution", 2, 2),  # z1, z1 -> z2, z2
    ("statistics", 0, 0),
    ("combine", 5, 1),  # x (pools, identity), z2, z2, zd, zd -> y
]
BACKWARD = [
    ("convolution", 2, 2),  # x, g -> z1, z1; the dilated ones' outputs give their sums and are not kept
    ("convolution", 3, 0),  # z1, z1, g -> sums
    ("reduce", 2, 0),  # x, g -> sums of pools and identity
    ("sums", 0, 0),
    ("factor", 0, 0),
    ("convolution_backward", 3, 2),  # g, z1, z1 -> d, d
    ("hidden_backward", 4, 2),  # d, d, z1, z1 -> z1', z1'
    ("sums", 0, 0),
    ("convolution_backward", 6, 4),  # g, z1', z1', z1, z1, x -> d, d, d, d
    ("input_backward", 6, 1),  # d x 4, x, g -> grad_x
    ("parameters", 0, 0),
]
# More channels than a block's rows: final outputs are kept for backward, and read instead of computed again.
WIDE_BACKWARD = [
    ("convolution", 2, 4),  # x, g -> z1, z1, zd, zd
    ("convolution", 3, 2),  # z1, z1, g -> z2, z2
    ("reduce", 2, 0),
    ("sums", 0, 0),
    ("factor", 0, 0),
    ("convolution_backward", 5, 2),  # and z2, z2
    ("hidden_backward", 4, 2),
    ("sums", 0, 0),
    ("convolution_backward", 8, 4),  # and zd, zd
    ("input_backward", 6, 1),
    ("parameters", 0, 0),
]
# NAS-Bench-201's candidates, BN-free pool; c1, c3: outputs of both convolutions, C1, C3: gradients of their inputs.
NASBENCH_FORWARD = [
    ("convolution", 1, 2),  # x -> c1, c3
    ("statistics", 0, 0),
    ("combine", 3, 1),  # x, c1, c3 -> y
]
NASBENCH_BACKWARD = [
    ("convolution", 2, 2),  # x, g -> c1, c3 and their sums
    ("reduce", 2, 0),
    ("sums", 0, 0),
    ("factor", 0, 0),
    ("convolution_backward", 4, 2),  # g, c1, c3, x -> gradients of c1 and c3
    ("convolution", 2, 2),  # -> C1, C3
    ("input_backward", 4, 1),  # C1, C3, x, g -> grad_x
    ("parameters", 0, 0),
]
NASBENCH = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
# Stride 2, in activations of y: x and grad_x are four. f: FactorizedReduce's output, F: the gradient of its input.
STRIDED_FORWARD = [
    ("convolution", 4, 5),  # and f
    ("statistics", 0, 0),
    ("convolution", 2, 2),
    ("statistics", 0, 0),
    ("combine", 9, 1),
]
STRIDED_BACKWARD = [
    ("convolution", 5, 3),  # x, g -> z1, z1, f
    ("convolution", 3, 0),
    ("reduce", 5, 0),
    ("sums", 0, 0),
    ("factor", 0, 0),
    ("convolution_backward", 3, 2),
    ("hidden_backward", 4, 2),
    ("sums", 0, 0),
    ("convolution_backward", 10, 5),  # g, z1', z1', z1, z1, f, x -> d x 4, gradient of f
    ("convolution", 1, 4),  # gradient of f -> F
    ("input_backward", 13, 4),  # d x 4, F, x, g -> grad_x
    ("parameters", 0, 0),
]


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
        (Call(n=32, c=72, h=8, w=8), FORWARD + WIDE_BACKWARD, 15 + 45),
        (Call(n=16, c=96, h=14, w=14), FORWARD + WIDE_BACKWARD, 15 + 45),
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

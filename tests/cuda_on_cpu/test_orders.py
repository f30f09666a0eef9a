"""The emulated operators give the same bits in every order of threads and blocks, and agree with their twins.

Few and small calls that reach every kernel: also what the sanitizer builds run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import amended_darts_ext as ext
from amended_darts_ext import CANDIDATES, DARTS, reference

from ..ops.calls import Call, disagreement, outputs_and_gradients
from . import emulator

pytestmark = emulator.needed

ORDERS = [("forward", 0), ("forward", 0), ("reverse", 0), ("random", 1), ("random", 2)]


@pytest.fixture(autouse=True)
def _forward_again() -> Iterator[None]:
    yield
    emulator.set_order("forward")


def same_bits_in_every_order(call: Callable[[], list[Tensor]]) -> list[Tensor]:
    """The results of ``call``, which launches kernels."""
    emulator.take_launches()
    first = call()
    assert emulator.take_launches(), "no kernel was launched: the operator is not emulated"
    for order, seed in ORDERS[: 1 if emulator.build() == "tsan" else None]:
        emulator.set_order(order, seed)
        for a, b in zip(first, call(), strict=True):
            assert torch.equal(a, b), f"{order} {seed}"
    return first


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_perturbation(dtype: torch.dtype) -> None:
    sizes = [4097, 1, 0, 33]
    origin, direction = ([torch.randn(size, dtype=dtype) for size in sizes] for _ in range(2))

    def call(ops: Any = ext) -> list[Tensor]:
        weights = [torch.zeros_like(t) for t in origin]
        step = ops.step_size(direction, 0.5)
        ops.perturb_(weights, origin, direction, step, -1.0)
        return [ops.global_norm(origin), step, *weights, *ops.central_difference(origin, direction, step)]

    for got, want in zip(same_bits_in_every_order(call), call(reference), strict=True):
        torch.testing.assert_close(got, want)


#: Both strides, one and several edges, every candidate, both kinds of BN, odd sizes, more channels than a tile has.
CALLS = [
    Call(n=2, c=4, h=6, w=5, edges=2),
    Call(n=2, c=4, h=6, w=5, edges=2, stride=2, affine=True, per_sample=True),
    Call(n=1, c=3, h=7, w=9, edges=1, stride=2, running=True, layout="channels_last", pool_norm=False),
    Call(n=3, c=3, h=3, w=4, edges=3, candidates=DARTS, layout="sliced", affine=True),
    Call(n=1, c=33, h=9, w=10, candidates=("sep_conv_3x3", "max_pool_3x3", "nor_conv_3x3", "skip_connect")),
    Call(n=1, c=33, h=9, w=10, stride=2, candidates=("dil_conv_5x5", "avg_pool_3x3", "nor_conv_1x1", "skip_connect")),
]


#: Where races between blocks are looked for, which takes long for each thread of a launch.
if emulator.between_blocks():
    CALLS = [
        Call(n=1, c=2, h=3, w=2, candidates=("sep_conv_3x3", "max_pool_3x3", "skip_connect")),
        Call(n=2, c=2, h=3, w=2, stride=2, candidates=("dil_conv_3x3", "nor_conv_1x1", "skip_connect")),
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_mixed_edges(call: Call, dtype: torch.dtype) -> None:
    exact = call.arguments()
    call = Call(**{**call.__dict__, "dtype": dtype})
    results = same_bits_in_every_order(
        lambda: outputs_and_gradients(torch.ops.amended_darts.mixed_edges, call.arguments())
    )
    if emulator.between_blocks():  # so few numbers that rounding in float32 shows
        return
    truth = outputs_and_gradients(reference.mixed_edges, exact)
    assert disagreement(results, truth) < (1e-10 if dtype == torch.float64 else 1e-5)


@pytest.mark.skipif(emulator.between_blocks(), reason="few calls")
def test_the_calls_cover_every_candidate_and_stride() -> None:
    covered = {(name, call.stride) for call in CALLS for name in call.candidates}
    assert covered == {(name, stride) for name in CANDIDATES for stride in (1, 2)}

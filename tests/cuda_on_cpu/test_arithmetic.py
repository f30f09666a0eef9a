"""16-bit types and TF32 through the kernels' tensor-core products, emulated: as exact as the twin in that type."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from amended_darts_ext import CANDIDATES, mixed_edges, reference

from ..ops.calls import Call, disagreement, inputs, outputs_and_gradients
from . import emulator

pytestmark = emulator.needed


def configurations() -> list[Call]:
    """Drawn once, the same in every run: what is compared are two sizes of rounding, and small cases are luck."""
    draw = random.Random(0)
    calls = []
    for seed in range(64):
        names = draw.sample(list(CANDIDATES), draw.randint(2, 4))
        calls.append(
            Call(
                candidates=tuple(names),
                stride=draw.choice([1, 2]),
                n=draw.randint(4, 5),
                c=draw.choice([6, 12, 17, 20]),
                h=draw.randint(5, 8),
                w=draw.randint(5, 8),
                edges=draw.randint(1, 2),
                per_sample=draw.random() < 0.3,
                affine=True,
                pool_norm=draw.random() < 0.7,
                recompute=draw.random() < 0.7,
                layout=draw.choice(["contiguous", "channels_last", "sliced"]),
                dtype=[torch.bfloat16, torch.float16][seed % 2],
                seed=seed,
            )
        )
    return calls


def errors(call: Call) -> tuple[float, float]:
    """How far the operator and the twin, both in the call's type, are from the float64 twin of the rounded inputs.

    BN lifts every hidden activation above zero: a ReLU whose input rounding takes across it makes an error of its own,
    larger than all others and a matter of luck.
    """
    arguments, exact = call.arguments(), replace(call, dtype=torch.float64).arguments()
    with torch.no_grad():
        arguments["bn_weight"].clamp_(0.3, 1.2)
        arguments["bn_bias"].copy_(6 + arguments["bn_bias"].clamp(-1, 1))
        for to, value in zip(inputs(exact), inputs(arguments), strict=True):
            to.copy_(value)
    truth = outputs_and_gradients(reference.mixed_edges, exact)
    twin = disagreement(outputs_and_gradients(reference.mixed_edges, arguments), truth)
    fused = outputs_and_gradients(mixed_edges, arguments)
    assert fused[0].dtype == call.dtype
    return disagreement(fused, truth), twin


@pytest.mark.parametrize("call", configurations(), ids=lambda call: str(call.seed))
def test_16_bit_types(call: Call) -> None:
    error, twin = errors(call)
    assert error <= 2 * twin


@pytest.mark.parametrize("c", [16, 24, 40])
@pytest.mark.parametrize("stride", [1, 2])
def test_tf32_where_it_is_allowed(c: int, stride: int) -> None:
    """Errors of ten bits of mantissa, more than float32's; and none of it where TF32 is not allowed."""
    call = Call(n=2, c=c, h=8, w=8, stride=stride, dtype=torch.float32)
    wanted = outputs_and_gradients(reference.mixed_edges, replace(call, dtype=torch.float64).arguments())
    emulator.take_launches()
    rounded = disagreement(outputs_and_gradients(mixed_edges, {**call.arguments(), "allow_tf32": True}), wanted)
    assert any("Arithmetic)1" in launch.kernel for launch in emulator.take_launches())
    exact = disagreement(outputs_and_gradients(mixed_edges, call.arguments()), wanted)
    assert exact < 1e-5
    assert 1e-4 < rounded < 0.1


def test_same_bits_in_every_order() -> None:
    for dtype in (torch.bfloat16, torch.float16):
        call = Call(n=2, c=20, h=5, w=6, edges=2, dtype=dtype)
        first = outputs_and_gradients(mixed_edges, call.arguments())
        try:
            for order in ("reverse", "random"):
                emulator.set_order(order, 3)
                again = outputs_and_gradients(mixed_edges, call.arguments())
                assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        finally:
            emulator.set_order("forward")

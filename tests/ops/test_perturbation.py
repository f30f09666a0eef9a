"""The perturbation operators agree with their twins on lists of any tensors, and change nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from amended_darts_ext import central_difference, global_norm, perturb_, reference, step_size

shapes = st.lists(st.lists(st.integers(0, 9), max_size=4).map(tuple), min_size=1, max_size=12)
layouts = st.sampled_from(["contiguous", "sliced", "transposed", "channels_last"])


def make(shape: tuple[int, ...], layout: str, dtype: torch.dtype, device: str = "cpu") -> Tensor:
    t = torch.randn(shape, dtype=torch.float64)
    if layout == "sliced" and t.dim() > 0:
        t = torch.stack([t, t], -1).flatten(-2)[..., ::2]
    elif layout == "transposed" and t.dim() > 1:
        t = t.transpose(0, 1).contiguous().transpose(0, 1)
    elif layout == "channels_last" and t.dim() == 4:
        t = t.contiguous(memory_format=torch.channels_last)
    return t.to(device=device, dtype=dtype)


def lists(count: int, shapes: list[tuple[int, ...]], layout: str, dtype: torch.dtype, device: str = "cpu") -> Any:
    return [[make(shape, layout, dtype, device) for shape in shapes] for _ in range(count)]


@settings(max_examples=60)
@given(shapes, layouts, st.sampled_from([torch.float32, torch.float64]), st.sampled_from([1.0, -1.0]))
def test_agrees_with_the_twin(device: str, shapes: Any, layout: str, dtype: torch.dtype, sign: float) -> None:
    check_against_the_twin(shapes, layout, dtype, sign, device)


def test_many_tensors_of_every_alignment(device: str) -> None:
    """More tensors than one launch takes, each starting at another multiple of four bytes."""
    check_against_the_twin([(i % 7, 3) for i in range(1500)], "contiguous", torch.float32, 1.0, device)
    store = torch.randn(3, 40000, device=device)
    views = [[row[i * 97 : i * 97 + 90 + i % 5] for i in range(400)] for row in store]
    weights, origin, direction = views
    step = torch.tensor(0.3, device=device)
    expected = [o + 0.3 * v for o, v in zip(origin, direction, strict=True)]
    between = store[0, 95:97].clone()
    perturb_(weights, origin, direction, step)
    for got, want in zip(weights, expected, strict=True):
        torch.testing.assert_close(got, want)
    assert torch.equal(store[0, 95:97], between), "wrote outside of its tensors"


def test_one_large_tensor(device: str) -> None:
    check_against_the_twin([(1_000_003,)], "contiguous", torch.float32, -1.0, device)


def check_against_the_twin(shapes: Any, layout: str, dtype: torch.dtype, sign: float, device: str) -> None:
    weights, origin, direction = lists(3, shapes, layout, dtype, device)
    twin_weights = [w.clone() for w in weights]
    torch.testing.assert_close(global_norm(direction), reference.global_norm(direction))
    step = step_size(direction, 0.5)
    torch.testing.assert_close(step, reference.step_size(direction, 0.5))
    assert step.dtype == dtype
    assert step.shape == ()
    perturb_(weights, origin, direction, step, sign)
    reference.perturb_(twin_weights, origin, direction, step, sign)
    for got, want in zip(weights, twin_weights, strict=True):
        torch.testing.assert_close(got, want)
    for got, want in zip(
        central_difference(weights, origin, step), reference.central_difference(weights, origin, step), strict=True
    ):
        torch.testing.assert_close(got, want)


def test_version_counters_move(device: str) -> None:
    """Autograd must not trust values that were saved before."""
    weights, origin, direction = lists(3, [(3,), (2, 2)], "contiguous", torch.float32, device)
    for w in weights:
        w.requires_grad_(True)
    loss = sum(w.square().sum() for w in weights)
    with torch.no_grad():
        perturb_(weights, origin, direction, torch.tensor(0.1, device=device))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    assert [o._version for o in origin] == [0, 0]


def test_zero_and_non_finite_vectors(device: str) -> None:
    zero = [torch.zeros(4, device=device), torch.zeros(0, device=device)]
    assert step_size(zero, 0.01) == 0
    ones = [torch.ones(4, device=device), torch.ones(0, device=device)]
    assert central_difference(ones, zero, torch.zeros((), device=device))[0].abs().sum() == 0
    for value in (float("nan"), float("inf")):
        bad = [torch.tensor([1.0, value], device=device)]
        assert not torch.isfinite(global_norm(bad))
        # Not radius / infinity = 0, the step of a zero vector: that would hide that the vector has diverged.
        for step in (step_size(bad, 0.01), reference.step_size(bad, 0.01)):
            assert torch.isnan(step)
    assert torch.isnan(step_size([torch.full((2,), 1e200, dtype=torch.float64, device=device)], 0.01))
    assert torch.isnan(central_difference(bad, [torch.ones(2, device=device)], torch.zeros((), device=device))[0][1])


def test_smallest_steps_divide_without_overflow(device: str) -> None:
    """1 / (2 · step) is infinite in float32 for these steps; the quotient is not."""
    step = torch.tensor(1e-40, device=device)
    plus, minus = [torch.tensor([1e-3, 1.0], device=device)], [torch.tensor([0.0, 1.0], device=device)]
    expected = torch.tensor([1e-3 / (2 * step.item()), 0.0], device=device)
    torch.testing.assert_close(central_difference(plus, minus, step)[0], expected)


@pytest.mark.parametrize("layout", ["contiguous", "sliced", "transposed", "channels_last"])
def test_the_origin_comes_back_bit_for_bit(layout: str, device: str) -> None:
    weights, direction = lists(2, [(2, 3, 4, 5), (7, 3), (), (0, 2), (0, 0, 0, 2)], layout, torch.float32, device)
    weights[1][0, 0] = -0.0
    origin = [w.clone() for w in weights]
    step = step_size(direction, 1.0)
    for sign in (1.0, -1.0):
        perturb_(weights, origin, direction, step, sign)
        assert not torch.equal(weights[0], origin[0])
    torch._foreach_copy_(weights, origin)
    for w, o in zip(weights, origin, strict=True):
        assert torch.equal(w, o)
        assert torch.equal(torch.signbit(w), torch.signbit(o))


def test_empty_lists_are_fine_where_a_step_tells_the_device(device: str) -> None:
    step = torch.tensor(0.1, device=device)
    for ops in (torch.ops.amended_darts, reference):
        assert ops.perturb_([], [], [], step) is None
        assert ops.central_difference([], [], step) == []


def test_where_a_tensor_lies_does_not_change_its_norm(device: str) -> None:
    values = torch.randn(10_007, device=device)
    store = torch.empty(10_011, device=device)
    norms = set()
    for offset in range(4):
        moved = store[offset : offset + 10_007]
        moved.copy_(values)
        norms.add(global_norm([moved]).item())
    assert len(norms) == 1


def test_weights_share_memory_with_nothing(device: str) -> None:
    """They would be read half old, half new."""
    step = torch.tensor(0.1, device=device)
    store = torch.zeros(20, device=device)
    a, b, c = store[:5], store[5:10], store[10:15]
    perturb_([c, a], [b, torch.zeros_like(a)], [b, b], step)  # neighbours, in any order
    perturb_([store[::2]], [store[1::2]], [store[1::2]], step)  # interleaved
    refused: list[tuple[Any, str]] = [
        (([a], [a], [b]), r"origin\[0\] must not share memory with the weights.*weights\[0\]"),
        (([c, a], [b, b], [b, store[4:9]]), r"direction\[1\] must not share memory with the weights.*weights\[1\]"),
        (([store[:10]], [store[10:]], [store[:20:2]]), r"direction\[0\] must not share memory with the weights"),
        (([store[::4]], [store[5:10]], [store[:5]]), r"direction\[0\] must not share memory with the weights"),
        (([a, store[4:9]], [b, b], [b, b]), r"weights must not share memory .* weights\[0\] and weights\[1\]"),
        (([store[:1].expand(5)], [a], [b]), r"weights\[0\] must have memory of its own for each element.*\[5\]"),
    ]
    for arguments, sentence in refused:
        before = store.clone()
        with pytest.raises(RuntimeError, match=sentence):
            perturb_(*arguments, step)
        assert torch.equal(store, before)


def test_squares_neither_overflow_nor_vanish(device: str) -> None:
    for value in (1e30, 1e-30):
        norm = global_norm([torch.full((4,), value, device=device)])
        assert norm.item() == pytest.approx(2 * value, rel=1e-6)


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    tensors = [torch.randn(100_003), torch.randn(7), torch.randn(50_000)]
    norms = set()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        norms.add(global_norm(tensors).item())
    assert len(norms) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opcheck(dtype: torch.dtype, device: str) -> None:
    ops = torch.ops.amended_darts
    weights, origin, direction = lists(3, [(3, 2), (), (4,)], "sliced", dtype, device)
    step = torch.tensor(0.1, dtype=dtype, device=device)
    torch.library.opcheck(ops.global_norm.default, (weights,))
    torch.library.opcheck(ops.step_size.default, (weights, 0.1))
    torch.library.opcheck(ops.central_difference.default, (weights, origin, step))
    torch.library.opcheck(ops.perturb_.default, (weights, origin, direction, step))


def test_bad_input_names_the_argument() -> None:
    a, b = [torch.zeros(2), torch.zeros(3)], [torch.zeros(2), torch.zeros(4)]
    step = torch.tensor(0.1)
    cases: list[tuple[Any, tuple[Any, ...], str]] = [
        (global_norm, ([],), "global_norm: tensors must hold at least one tensor"),
        (global_norm, ([torch.zeros(2).half()],), r"tensors\[0\] must be float32 or float64, got float16 on cpu"),
        (
            global_norm,
            ([a[0], a[1].double()],),
            r"tensors\[1\] must .* tensors\[0\], float32 on cpu, got float64 on cpu",
        ),
        (step_size, (a, -1.0), "step_size: radius must not be negative, got -1"),
        (perturb_, (a, b, a, step), r"perturb_: origin\[1\] must have the shape of weights\[1\], \[3\], got \[4\]"),
        (perturb_, (a, a[:1], a, step), "perturb_: origin must hold 2 tensors as weights, got 1"),
        (perturb_, (a, a, a, torch.zeros(2)), r"perturb_: step must be one number, got shape \[2\]"),
        (perturb_, (a, a, a, step.double()), "perturb_: step must have .* float32 on cpu, got float64 on cpu"),
        (central_difference, (a, b, step), r"central_difference: minus\[1\] must have the shape of plus\[1\]"),
    ]
    for op, arguments, sentence in cases:
        with pytest.raises(RuntimeError, match=sentence):
            op(*arguments)

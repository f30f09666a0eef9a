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
def test_agrees_with_the_twin(shapes: Any, layout: str, dtype: torch.dtype, sign: float) -> None:
    check_against_the_twin(shapes, layout, dtype, sign, "cpu")


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
    assert torch.isnan(step_size([torch.tensor([float("nan")], device=device)], 0.01))


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
        (global_norm, ([torch.zeros(2).half()],), r"global_norm: tensors\[0\] must be float32 or float64"),
        (global_norm, ([a[0], a[1].double()],), r"tensors\[1\] must have the dtype and device of tensors\[0\]"),
        (step_size, (a, -1.0), "step_size: radius must not be negative, got -1"),
        (perturb_, (a, b, a, step), r"perturb_: origin\[1\] must have the shape of weights\[1\], \[3\], got \[4\]"),
        (perturb_, (a, a[:1], a, step), "perturb_: origin must hold 2 tensors as weights, got 1"),
        (perturb_, (a, a, a, torch.zeros(2)), r"perturb_: step must be one number .* got shape \[2\]"),
        (perturb_, (a, a, a, step.double()), "perturb_: step must be one number with the dtype"),
        (central_difference, (a, b, step), r"central_difference: minus\[1\] must have the shape of plus\[1\]"),
    ]
    for op, arguments, sentence in cases:
        with pytest.raises(RuntimeError, match=sentence):
            op(*arguments)

"""The dominant eigenvalue of the validation loss along α, against the dense Hessian of double backward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from amended_darts.hypergradient import alpha_eigenvalue, frozen_buffers, gradient
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from .problems import Bilevel, assert_same_state, bilevel, flat, models, state


def spectrum(problem: Bilevel) -> Tensor:
    """Eigenvalues of ∂²L_val/∂α², ascending, row by row by double backward."""
    slope = flat_with_graph(torch.autograd.grad(problem.val_loss(), problem.alphas, create_graph=True))
    rows = [flat(list(torch.autograd.grad(element, problem.alphas, retain_graph=True))) for element in slope]
    return torch.linalg.eigvalsh(torch.stack(rows))


def flat_with_graph(tensors: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([t.reshape(-1) for t in tensors])


def measure(problem: Bilevel, **options: Any) -> float:
    return alpha_eigenvalue(problem.val_loss, problem.weights, problem.alphas, **options)


def along(hessian: Tensor) -> Bilevel:
    """L_val = ½αᵀHα: the Hessian is known and differences of it are exact."""
    alpha, w = nn.Parameter(torch.randn(len(hessian), dtype=hessian.dtype)), nn.Parameter(torch.zeros(1))
    network = nn.Module()
    network.alpha, network.w = alpha, w

    def loss() -> Tensor:
        return 0.5 * alpha @ hessian @ alpha + 0 * w.sum()

    return Bilevel(loss, loss, [w], [alpha], network)


@given(models)
@settings(max_examples=15)
def test_agrees_with_double_backward(model: dict[str, Any]) -> None:
    """On smooth models."""
    problem = bilevel(**model, dtype=torch.float64)
    exact = spectrum(problem)
    report: dict[str, Any] = {}
    for hvp in ("exact", "finite"):
        found = measure(problem, radius=1e-4, tolerance=1e-9, hvp=hvp, report=report)
        assert abs(found - float(exact[-1])) < 1e-5 * float(exact.abs().max())
        assert report["products"] <= 4


@given(models)
@settings(max_examples=15)
def test_differences_in_float32(model: dict[str, Any]) -> None:
    problem = bilevel(**model, dtype=torch.float32)
    exact = spectrum(problem)
    assert abs(measure(problem, radius=0.05) - float(exact[-1])) < 0.03 * float(exact.abs().max())


@given(st.integers(0, 2**16), st.integers(1, 12))
@settings(max_examples=20)
def test_a_large_negative_eigenvalue_does_not_hide_the_positive_one(seed: int, size: int) -> None:
    torch.manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64)).Q
    values = torch.linspace(-10, 3, size, dtype=torch.float64)
    report: dict[str, Any] = {}
    found = measure(along(basis @ torch.diag(values) @ basis.T), tolerance=1e-9, report=report)
    assert found == pytest.approx(float(values[-1]), abs=1e-6)
    assert report["smallest"] == pytest.approx(-10, abs=1e-6)
    assert report["products"] <= size


def test_no_worse_than_power_iteration_with_as_many_products() -> None:
    values = torch.linspace(0.1, 1, 40, dtype=torch.float64)
    hessian = torch.diag(values)
    vector = torch.randn(40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for _ in range(5):
        vector = hessian @ (vector / vector.norm())
    vector = vector / vector.norm()
    report: dict[str, Any] = {}
    found = measure(along(hessian), products=6, tolerance=1e-9, report=report)
    assert report["products"] == 6
    assert float(vector @ hessian @ vector) < found <= 1 + 1e-9
    assert abs(1 - found) <= report["residual"]


def test_a_flat_loss_has_eigenvalue_zero() -> None:
    assert measure(along(torch.zeros(3, 3, dtype=torch.float64))) == 0


def test_everything_comes_back_and_weights_get_no_gradients() -> None:
    problem = bilevel(dtype=torch.float32, norm=True, dropout=0.3)
    before = state(problem)
    asked = []

    def watching(scalar, inputs):  # type: ignore[no-untyped-def]
        asked.append([t.requires_grad for t in problem.weights])
        return gradient(scalar, inputs)

    with frozen_buffers(problem.network):
        first = measure(problem, gradient=watching)
        torch.manual_seed(5)
        assert_same_state(before, problem)
    assert first != 0
    assert not any(flag for flags in asked for flag in flags)


def test_both_sides_of_a_difference_draw_the_same_masks() -> None:
    """Otherwise the quotient would be the difference of two losses, of any size."""
    problem = bilevel(dtype=torch.float64, dropout=0.5)
    torch.manual_seed(3)
    found = measure(problem, radius=0.01, tolerance=1e-9)
    torch.manual_seed(3)
    assert found == pytest.approx(float(spectrum(problem)[-1]), rel=2e-3)


def test_bad_settings_and_nan() -> None:
    problem = bilevel()
    for wrong in ({"products": 0}, {"radius": 0.0}, {"tolerance": -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            measure(problem, **wrong)
    with torch.no_grad():
        problem.weights[0].fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="the Hessian of the validation loss along α is not finite"):
        measure(problem)

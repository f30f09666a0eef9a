"""``conjugate_gradient`` is g1 − A·x with x the textbook iterate, and says when it met negative curvature."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from amended_darts.hypergradient import conjugate_gradient, exact
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from .problems import arguments, bilevel, derivatives, flat, models, quadratic, relative


def textbook(H: Tensor, v: Tensor, iterations: int) -> Tensor:
    """Minimum of ½xᵀHx − vᵀx over the Krylov space of that dimension, by a dense solve on an orthonormal basis."""
    basis: list[Tensor] = []
    vector = v
    for _ in range(iterations):
        for _ in range(2):
            for b in basis:
                vector = vector - (b @ vector) * b
        basis.append(vector / vector.norm())
        vector = H @ basis[-1]
    Q = torch.stack(basis, 1)
    return Q @ torch.linalg.solve(Q.T @ H @ Q, Q.T @ v)


@settings(max_examples=6)
@given(models, st.integers(1, 5), st.sampled_from([1.0, 3.0]))
def test_it_is_its_formula(model: dict[str, Any], iterations: int, margin: float) -> None:
    """Damped by so much that all eigenvalues are at least ``margin`` + 0.5."""
    problem = bilevel(**model)
    g1, v, H, A = derivatives(problem)
    damping = margin - min(0.0, torch.linalg.eigvalsh(H)[0].item())
    H = H + (damping + 0.5) * torch.eye(len(v), dtype=v.dtype)
    want = g1 - A @ textbook(H, v, iterations)
    options: Any = {"iterations": iterations, "damping": damping, "weight_decay": 0.5}
    report: dict[str, Any] = {}
    assert relative(flat(conjugate_gradient(*arguments(problem), **options, hvp="exact", report=report)), want) < 1e-8
    assert report["iterations"] == iterations
    assert not report["negative_curvature"]
    assert report["curvature"] >= torch.linalg.eigvalsh(H).min()
    residual = (v - H @ textbook(H, v, iterations)).norm() / v.norm()
    assert report["residual"].item() == pytest.approx(residual.item(), rel=1e-6)
    assert relative(flat(conjugate_gradient(*arguments(problem), **options, radius=1e-5)), want) < 1e-4


def test_converged_it_is_the_exact_hypergradient() -> None:
    problem = bilevel()
    want = flat(exact(*arguments(problem), damping=1.0, weight_decay=0.5))
    report: dict[str, Any] = {}
    options: Any = {"iterations": 40, "damping": 1.0, "weight_decay": 0.5, "report": report}
    assert relative(flat(conjugate_gradient(*arguments(problem), hvp="exact", **options)), want) < 1e-8
    assert report["residual"] < 1e-8


def test_negative_curvature_freezes_the_solution_and_is_reported() -> None:
    """v lies in a plane where the first step is fine and the second direction has negative curvature."""
    H = torch.diag(torch.tensor([2.0, -0.5, 1.0], dtype=torch.float64))
    A = torch.randn(2, 3, dtype=torch.float64)
    v = torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64)
    problem = quadratic(H, A, v)
    report: dict[str, Any] = {}
    got = conjugate_gradient(*arguments(problem), iterations=6, hvp="exact", report=report)
    first_step = (v @ v) / (v @ H @ v) * v
    assert relative(flat(got), flat(problem.alphas) - A @ first_step) < 1e-12
    assert report["negative_curvature"]
    assert report["iterations"] == 1
    assert report["curvature"] < 0
    assert report["residual"].item() == pytest.approx(((v - H @ first_step).norm() / v.norm()).item())
    damped = conjugate_gradient(*arguments(problem), iterations=6, damping=1.0, hvp="exact", report=report)
    want = flat(problem.alphas) - A @ torch.linalg.solve(H + torch.eye(3, dtype=v.dtype), v)
    assert relative(flat(damped), want) < 1e-10
    assert not report["negative_curvature"]


def test_negative_curvature_at_once_leaves_the_first_term() -> None:
    H = -torch.eye(2, dtype=torch.float64)
    problem = quadratic(H, H, torch.ones(2, dtype=torch.float64))
    report: dict[str, Any] = {}
    got = conjugate_gradient(*arguments(problem), iterations=3, hvp="exact", report=report)
    assert torch.equal(flat(got), flat(problem.alphas))
    assert report["negative_curvature"]
    assert report["iterations"] == 0
    assert report["residual"] == 1
    assert report["curvature"] == -1


def test_residual_zero_freezes_the_solution() -> None:
    """H = 2I solves in one iteration; the other passes change nothing and nothing turns NaN."""
    H = 2 * torch.eye(4, dtype=torch.float64)
    A = torch.randn(3, 4, dtype=torch.float64)
    v = torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64)
    problem = quadratic(H, A, v)
    report: dict[str, Any] = {}
    got = conjugate_gradient(*arguments(problem), iterations=5, hvp="exact", report=report)
    assert relative(flat(got), flat(problem.alphas) - A @ v / 2) < 1e-12
    assert report["iterations"] == 1
    assert report["residual"] == 0
    assert report["curvature"] == 2
    assert not report["negative_curvature"]


def test_settings_that_do_not_fit_are_named() -> None:
    problem = bilevel()
    with pytest.raises(ValueError, match="iterations must be a whole number of at least 1, got 0"):
        conjugate_gradient(*arguments(problem), iterations=0)
    with pytest.raises(ValueError, match="weight_decay must be finite and not negative"):
        conjugate_gradient(*arguments(problem), iterations=1, weight_decay=-1.0)

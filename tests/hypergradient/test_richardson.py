"""``richardson`` is g1 − ξ·A·(2v − ξ·H'v) with the minimal-residual ξ, and mostly nearer to the truth than amended."""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Any

import pytest
import torch
from amended_darts.hypergradient import amended, first_order, neumann, richardson, two_moment
from hypothesis import given, settings
from hypothesis import strategies as st

from .problems import arguments, bilevel, derivatives, flat, models, quadratic, relative


@settings(max_examples=8)
@given(models, st.sampled_from([0.0, 0.3]), st.sampled_from([0.0, 0.1]))
def test_it_is_its_formula(model: dict[str, Any], damping: float, weight_decay: float) -> None:
    problem = bilevel(**model)
    g1, v, H, A = derivatives(problem)
    u = H @ v + (damping + weight_decay) * v
    step = torch.clamp(v @ u, min=0) / (u @ u)
    want = g1 - A @ (step * (2 * v - step * u))
    options: Any = {"damping": damping, "weight_decay": weight_decay}
    report: dict[str, Any] = {}
    assert relative(flat(richardson(*arguments(problem), **options, hvp="exact", report=report)), want) < 1e-8
    assert report["step"].item() == pytest.approx(step.item(), rel=1e-8)
    assert report["curvature"].item() == pytest.approx((v @ u / (v @ v)).item(), rel=1e-8)
    assert bool(report["negative_curvature"]) == ((v @ u).item() < 0)
    assert relative(flat(richardson(*arguments(problem), **options, radius=1e-4)), want) < 1e-4


def test_it_is_neumann_with_one_term_and_its_own_step() -> None:
    problem = bilevel()
    report: dict[str, Any] = {}
    got = flat(richardson(*arguments(problem), damping=1.0, hvp="exact", report=report))
    want = neumann(*arguments(problem), terms=1, lr=report["step"].item(), damping=1.0, hvp="exact")
    assert relative(got, flat(want)) < 1e-10


def test_negative_curvature_leaves_the_first_term_and_is_told() -> None:
    A, v = torch.eye(2, dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)
    for sign, flag in ((-1.0, True), (1.0, False)):
        report: dict[str, Any] = {}
        problem = quadratic(sign * A, A, v)
        got = richardson(*arguments(problem), report=report)
        assert bool(report["negative_curvature"]) is flag
        assert report["curvature"].item() == pytest.approx(sign)
        assert torch.allclose(flat(got) - flat(problem.alphas), torch.zeros_like(v) if flag else -v)


def median_cosines(moves_minimum: bool) -> dict[str, float]:
    """To the exact hypergradient, over 20 quadratic problems with three decades of curvature and ‖g1‖ = ‖g2‖.

    A is independent of H or, where α moves the minimum (w* = Bα), A = −BᵀH. Single draws are promised nothing.
    """
    estimators = {
        "first_order": first_order,
        "amended": partial(amended, rho=1.0),
        "richardson": richardson,
        "two_moment": two_moment,
    }
    cosines: dict[str, list[float]] = {name: [] for name in estimators}
    for seed in range(20):
        torch.manual_seed(seed)
        basis = torch.linalg.qr(torch.randn(24, 24, dtype=torch.float64)).Q
        H = basis @ torch.diag(torch.logspace(-3, 0, 24, dtype=torch.float64)) @ basis.T
        A, v = torch.randn(8, 24, dtype=torch.float64), torch.randn(24, dtype=torch.float64)
        A = -A @ H if moves_minimum else A
        problem = quadratic(H, A, v)
        second = A @ torch.linalg.solve(H, v)
        with torch.no_grad():
            problem.alphas[0].mul_(second.norm() / problem.alphas[0].norm())
        truth = flat(problem.alphas) - second
        for name, estimator in estimators.items():
            got = flat(estimator(*arguments(problem)))
            cosines[name].append(torch.cosine_similarity(truth, got, dim=0).item())
    return {name: median(values) for name, values in cosines.items()}


def test_it_improves_on_first_order_whatever_alpha_does() -> None:
    """And on the amended gradient at ρ = 1. Where α moves the minimum, two_moment's longer step turns away."""
    independent, moving = median_cosines(False), median_cosines(True)
    for cosines in (independent, moving):
        assert cosines["richardson"] > max(cosines["first_order"], cosines["amended"])
    assert moving["richardson"] > moving["two_moment"] + 0.2

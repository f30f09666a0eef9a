"""``richardson`` is g1 − ξ·A·(2v − ξ·H'v) with the minimal-residual ξ, and mostly nearer to the truth than amended."""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest
import torch
from amended_darts.hypergradient import amended, exact, neumann, richardson
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from .problems import arguments, bilevel, derivatives, flat, models, relative


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


def quadratic(hessian: Tensor, mixed: Tensor, v: Tensor) -> tuple[Any, Any, list[Tensor], list[Tensor]]:
    """L_train = ½ wᵀHw + αᵀAw, L_val = vᵀw, at w = 0 and α = 0."""
    w, alpha = (torch.zeros(size, dtype=v.dtype, requires_grad=True) for size in (len(v), len(mixed)))
    return (lambda: w @ hessian @ w / 2 + alpha @ mixed @ w), (lambda: v @ w), [w], [alpha]


def test_negative_curvature_leaves_the_first_term_and_is_told() -> None:
    v = torch.tensor([1.0, 2.0], dtype=torch.float64)
    mixed = torch.eye(2, dtype=torch.float64)
    for sign, flag in ((-1.0, True), (1.0, False)):
        report: dict[str, Any] = {}
        got = richardson(*quadratic(sign * mixed, mixed, v), report=report)
        assert bool(report["negative_curvature"]) is flag
        assert (report["second_norm"] == 0) == flag
        assert torch.allclose(flat(got), torch.zeros_like(v) if flag else -v)


def test_it_is_mostly_nearer_to_the_exact_hypergradient_than_the_amended_one() -> None:
    """Median cosine of 20 quadratic problems with three decades of curvature. No single draw is promised anything."""
    cosines: dict[str, list[float]] = {"richardson": [], "amended": []}
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        basis = torch.linalg.qr(torch.randn(24, 24, generator=generator, dtype=torch.float64)).Q
        hessian = basis @ torch.diag(torch.logspace(-3, 0, 24, dtype=torch.float64)) @ basis.T
        mixed = torch.randn(8, 24, generator=generator, dtype=torch.float64)
        problem = quadratic(hessian, mixed, torch.randn(24, generator=generator, dtype=torch.float64))
        truth = flat(exact(*problem))
        for name, got in (("richardson", richardson(*problem)), ("amended", amended(*problem, eta=1.0))):
            cosines[name].append(torch.cosine_similarity(truth, flat(got), dim=0).item())
    assert median(cosines["richardson"]) > median(cosines["amended"]) + 0.2

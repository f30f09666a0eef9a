"""``two_moment`` is g1 − A·x with x the solution of a 2×2 Lanczos system that takes t = τ."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from amended_darts.hypergradient import two_moment
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from .problems import arguments, bilevel, derivatives, flat, models, quadratic, relative


def closed_form(H: Tensor, v: Tensor) -> Tensor:
    """By the basis and the matrix themselves, not by the formula they come to."""
    first = v / v.norm()
    theta = first @ H @ first
    rest = H @ first - theta * first
    beta = rest.norm()
    T = torch.stack([torch.stack([theta, beta]), torch.stack([beta, theta + beta**2 / theta])])
    return torch.stack([first, rest / beta], 1) @ torch.linalg.inv(T)[:, 0] * v.norm()


@settings(max_examples=6)
@given(models, st.sampled_from([0.5, 3.0]))
def test_it_is_its_formula(model: dict[str, Any], margin: float) -> None:
    problem = bilevel(**model)
    g1, v, H, A = derivatives(problem)
    damping = margin - min(0.0, torch.linalg.eigvalsh(H)[0].item())
    H = H + (damping + 0.5) * torch.eye(len(v), dtype=v.dtype)
    want = g1 - A @ closed_form(H, v)
    options: Any = {"damping": damping, "weight_decay": 0.5}
    report: dict[str, Any] = {}
    assert relative(flat(two_moment(*arguments(problem), **options, hvp="exact", report=report)), want) < 1e-8
    assert report["curvature"].item() == pytest.approx((v @ H @ v / (v @ v)).item())
    assert not report["negative_curvature"]
    assert relative(flat(two_moment(*arguments(problem), **options, radius=1e-5)), want) < 1e-4


def test_it_is_exact_where_all_curvatures_are_equal() -> None:
    H = 4 * torch.eye(3, dtype=torch.float64)
    A, v = torch.randn(2, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    problem = quadratic(H, A, v)
    assert relative(flat(two_moment(*arguments(problem), hvp="exact")), flat(problem.alphas) - A @ v / 4) < 1e-12


def test_negative_curvature_leaves_the_first_term() -> None:
    H = -torch.eye(2, dtype=torch.float64)
    problem = quadratic(H, H, torch.ones(2, dtype=torch.float64))
    report: dict[str, Any] = {}
    assert torch.equal(flat(two_moment(*arguments(problem), report=report)), flat(problem.alphas))
    assert report["negative_curvature"]
    assert report["curvature"].item() == pytest.approx(-1)

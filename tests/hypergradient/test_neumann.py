"""``neumann`` is g1 − lr·A·Σ_k (I − lr·H')ᵏ·v and tends to the exact hypergradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from amended_darts.hypergradient import exact, neumann
from hypothesis import given, settings
from hypothesis import strategies as st

from .problems import arguments, bilevel, derivatives, flat, models, relative


@settings(max_examples=6)
@given(
    models, st.integers(0, 4), st.sampled_from([0.05, 0.5]), st.sampled_from([0.0, 0.3]), st.sampled_from([0.0, 0.1])
)
def test_it_is_its_formula(model: dict[str, Any], terms: int, lr: float, damping: float, weight_decay: float) -> None:
    problem = bilevel(**model)
    g1, v, H, A = derivatives(problem)
    step = torch.eye(len(v), dtype=v.dtype) * (1 - lr * (damping + weight_decay)) - lr * H
    powers = [torch.linalg.matrix_power(step, k) @ v for k in range(terms + 1)]
    want = g1 - lr * A @ torch.stack(powers).sum(0)
    options: Any = {"terms": terms, "lr": lr, "damping": damping, "weight_decay": weight_decay}
    report: dict[str, Any] = {}
    assert relative(flat(neumann(*arguments(problem), **options, hvp="exact", report=report)), want) < 1e-8
    assert report["last_term"].item() == pytest.approx((powers[-1].norm() / v.norm()).item(), rel=1e-8)
    assert relative(flat(neumann(*arguments(problem), **options, radius=1e-5)), want) < 1e-4


def test_many_terms_give_the_exact_hypergradient() -> None:
    problem = bilevel()
    report: dict[str, Any] = {}
    want = flat(exact(*arguments(problem), damping=1.5, report=report))
    lr = 1 / report["largest_eigenvalue"].item()
    got = neumann(*arguments(problem), terms=150, lr=lr, damping=1.0, weight_decay=0.5, hvp="exact")
    assert relative(flat(got), want) < 1e-8


def test_settings_that_do_not_fit_are_named() -> None:
    problem = bilevel()
    with pytest.raises(ValueError, match="terms must be a whole number of at least 0, got -1"):
        neumann(*arguments(problem), terms=-1, lr=0.1)
    with pytest.raises(ValueError, match=r"terms must be a whole number of at least 0, got 1\.5"):
        neumann(*arguments(problem), terms=1.5, lr=0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lr must be positive, got 0"):
        neumann(*arguments(problem), terms=1, lr=0)
    with pytest.raises(ValueError, match="damping must be finite and not negative"):
        neumann(*arguments(problem), terms=1, lr=0.1, damping=float("nan"))

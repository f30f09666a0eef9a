"""iDARTS: the inverse Hessian as a truncated Neumann series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ._gradient import Gradient, Loss, gradient
from ._problem import Problem, check_products
from ._terms import combine

_gradient = gradient


def neumann(
    train_loss: Loss,
    val_loss: Loss,
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    *,
    lr: float,
    terms: int = 2,
    damping: float = 0.0,
    weight_decay: float = 0.0,
    radius: float = 0.01,
    hvp: str = "finite",
    gradient: Gradient = _gradient,
    report: dict[str, Any] | None = None,
) -> list[Tensor]:
    """g1 − ξ·A·Σ_{k≤K} (I − ξ(H + δI))^k·v, K = terms (Zhang et al. 2021, eq. 7; Lorraine et al. 2020, algorithm 3).

    Converges to the implicit function theorem's gradient, with H + δI in place of H, where 0 < ξ·(H + δI) < 2 in every
    direction; with terms = 0 it is the one-step gradient at w. δ = damping + weight_decay.

    Passes: 3 + 2·terms. Extra memory: three lists of the weights' size and one copy of the weights.

    Args:
        train_loss, val_loss, weights, alphas, gradient: as for :func:`amended_darts.hypergradient.amended`.
        lr: ξ.
        terms: K, products with H.
        damping, weight_decay: added to H's diagonal.
        radius, hvp: as for :func:`amended_darts.hypergradient.amended`.
        report: gets ``first_norm``, ``second_norm``, ``direction_norm``, ``ratio``, ``cosine``; 0-d tensors.

    Returns:
        One gradient for each alpha.

    Raises:
        ValueError: settings or lists that do not fit.
        FloatingPointError: a vector of the series is not finite (on the CPU).
    """
    check_products(hvp, radius)
    if not lr > 0:
        raise ValueError(f"lr must be positive, got {lr}")
    if terms < 0:
        raise ValueError(f"terms must be 0 or more, got {terms}")
    shift = damping + weight_decay
    with Problem(train_loss, val_loss, weights, alphas, gradient) as problem:
        first, term = problem.val_gradients()
        total = list(term)
        for k in range(terms):
            curved = problem.hessian_vector(term, hvp, radius, f"term {k} of the Neumann series")
            term = [t - lr * (h + shift * t) for t, h in zip(term, curved, strict=True)]
            total = [s + t for s, t in zip(total, term, strict=True)]
        direction = problem.mixed_vector(total, hvp, radius, "the Neumann series")
    return combine(first, direction, eta=lr, report=report)

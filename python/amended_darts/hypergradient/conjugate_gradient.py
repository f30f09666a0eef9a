"""The implicit function theorem, with H⁻¹v by conjugate gradients (Rajeswaran et al., arXiv 1909.04630)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ._gradient import Gradient, Loss, gradient
from ._problem import Problem
from ._products import VAL_GRADIENT, Products
from ._settings import check_count, check_not_negative, check_products
from ._terms import check_scale, combine
from ._vectors import add_, combination, dot, quotient

_gradient = gradient


def conjugate_gradient(
    train_loss: Loss,
    val_loss: Loss,
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    *,
    iterations: int,
    damping: float = 0.0,
    weight_decay: float = 0.0,
    rho: float | None = None,
    cap: float | None = None,
    radius: float = 0.01,
    hvp: str = "finite",
    gradient: Gradient = _gradient,
    report: dict[str, Any] | None = None,
) -> list[Tensor]:
    """g1 − A·x with x from conjugate gradients on (H + (damping + weight_decay)·I) x = v, started at 0.

    Exact once converged, where H + (damping + weight_decay)·I is positive definite. Along a direction p with
    pᵀ(H + ...)p ≤ 0, and at residual 0, x is frozen: the passes still run, as stopping would mean reading from the
    device. Negative curvature in the first iteration leaves x = 0: the result is g1, and the report says why.

    Passes: 3 + 2·iterations (val; two per iteration without the alphas' gradients; two for A x without the weights').
    Extra memory: x, residual, direction and product, each of the size of w, and one copy of the weights.

    Args:
        train_loss, val_loss, weights, alphas, gradient: as for :func:`amended_darts.hypergradient.amended`.
        iterations: at least 1.
        damping, weight_decay: added to H's diagonal; weight_decay where the optimizer decays w rather than the loss.
        rho: scales the second term to ‖second term‖ = rho · ‖g1‖.
        cap: keeps ‖second term‖ ≤ cap · ‖g1‖.
        radius: of the differences, ‖change of the weights‖₂.
        hvp: "finite", or "exact" for products by double backward (2 + iterations passes).
        report: gets ``first_norm``, ``second_norm``, ``ratio``, ``cosine``; ``iterations`` that changed x,
            ``residual`` ‖v − (H + ...)x‖ / ‖v‖, ``curvature``, the smallest pᵀ(H + ...)p / pᵀp seen (infinite where v
            is zero), and the flag ``negative_curvature``. 0-d tensors on the device.

    Returns:
        One gradient for each alpha.

    Raises:
        ValueError: settings or lists that do not fit.
        FloatingPointError: v or a direction is not finite (on the CPU; elsewhere the result is not finite either).
    """
    check_count(1, iterations=iterations)
    check_not_negative(damping=damping, weight_decay=weight_decay)
    check_scale(rho, cap)
    check_products(hvp, radius)
    with Problem(train_loss, val_loss, weights, alphas, gradient) as problem:
        first, v = problem.val_gradients()
        products = Products(problem, hvp, radius, damping + weight_decay)
        x = _solve(products, v, iterations, report)
        q = products.mixed(x, "the solution of conjugate gradients")
        return combine(first, q, eta=1.0 if rho is None else None, rho=rho, cap=cap, report=report)


def _solve(products: Products, v: list[Tensor], iterations: int, report: dict[str, Any] | None) -> list[Tensor]:
    """x with (H + shift·I) x ≈ v. All scalars are 0-d float64 tensors; ``active`` turns 0 for good once frozen."""
    x, residual, direction, name = [torch.zeros_like(t) for t in v], [t.clone() for t in v], v, VAL_GRADIENT
    start = square = dot(residual, residual)
    active = square > 0
    done = torch.zeros_like(square)
    smallest = torch.full_like(square, torch.inf)
    negative = torch.zeros_like(active)
    for i in range(iterations):
        product = products.hessian(direction, name)
        curvature = dot(direction, product)
        seen = torch.where(active, curvature / dot(direction, direction), torch.inf)
        smallest, negative = torch.minimum(smallest, seen), negative | (seen <= 0)
        active = active & ~(curvature <= 0)  # NaN stays active, so that it is seen in the result
        step = torch.where(active, square / curvature, 0.0)
        add_(x, step, direction)
        add_(residual, -step, product)
        before, square = square, dot(residual, residual)
        done = done + active
        active = active & (square > 0)
        turn = torch.where(active, quotient(square, before), 0.0)
        direction = combination(1.0, residual, turn, direction)
        name = f"direction {i + 2} of conjugate gradients"
    if report is not None:
        report.update(iterations=done, curvature=smallest, negative_curvature=negative)
        report["residual"] = quotient(square, start).sqrt()
    return x

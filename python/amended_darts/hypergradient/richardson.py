"""Two Richardson iterations on H x = v, whose step length needs no setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ._gradient import Gradient, Loss, gradient
from ._problem import Problem
from ._products import VAL_GRADIENT, Products
from ._settings import check_not_negative, check_products
from ._terms import check_scale, combine
from ._vectors import combination, dot, quotient

_gradient = gradient


def richardson(
    train_loss: Loss,
    val_loss: Loss,
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    *,
    damping: float = 0.0,
    weight_decay: float = 0.0,
    rho: float | None = None,
    cap: float | None = None,
    radius: float = 0.01,
    hvp: str = "finite",
    gradient: Gradient = _gradient,
    report: dict[str, Any] | None = None,
) -> list[Tensor]:
    """g1 − ξ·A·(2v − ξ·H'v), with ξ = vᵀH'v / ‖H'v‖² and H' = H + (damping + weight_decay)·I.

    ξ is the minimal-residual step along v, the multiple of v that makes ‖v − H'·ξv‖ smallest. Two steps of Richardson's
    iteration x ← x + ξ·(v − H'x) from x = 0 end at x = ξ·(2v − ξ·H'v), which needs the one product H'v alone: the same
    passes as :func:`amended`, without a factor to choose, and H' enters with the sign it has in the series of H'⁻¹
    (Saad 2003, Iterative Methods for Sparse Linear Systems, sections 4.2.1 and 5.3.2). It is :func:`neumann` with one
    term and lr = ξ.

    Where vᵀH'v ≤ 0 no step along v makes the residual smaller: the second term is zero, and the report says so.
    As with any truncated inverse, the term's angle to the exact one is not bounded by 90 degrees in single cases.

    Passes: 5 (val; two for H'v without the alphas' gradients; two for A x without the weights'). Extra memory: v, H'v,
    x and one copy of the weights.

    Args:
        train_loss, val_loss, weights, alphas, gradient: as for :func:`amended_darts.hypergradient.amended`.
        damping, weight_decay: added to H's diagonal; weight_decay where the optimizer decays w rather than the loss.
        rho: scales the second term to ‖second term‖ = rho · ‖g1‖.
        cap: keeps ‖second term‖ ≤ cap · ‖g1‖.
        radius: of the differences, ‖change of the weights‖₂.
        hvp: "finite", or "exact" for products by double backward (3 passes).
        report: gets ``first_norm``, ``second_norm``, ``ratio``, ``cosine``; ``step``, ξ; ``curvature``, vᵀH'v / vᵀv;
            and the flag ``negative_curvature``, true where vᵀH'v < 0. 0-d tensors on the device.

    Returns:
        One gradient for each alpha.

    Raises:
        ValueError: settings or lists that do not fit.
        FloatingPointError: v or x is not finite (on the CPU; elsewhere the result is not finite either).
    """
    check_not_negative(damping=damping, weight_decay=weight_decay)
    check_scale(rho, cap)
    check_products(hvp, radius)
    with Problem(train_loss, val_loss, weights, alphas, gradient) as problem:
        first, v = problem.val_gradients()
        products = Products(problem, hvp, radius, damping + weight_decay)
        u = products.hessian(v, VAL_GRADIENT)
        curvature = dot(v, u)
        step = quotient(curvature, dot(u, u))
        step = torch.where(curvature <= 0, torch.zeros_like(step), step)  # NaN goes on, so that it is seen
        x = combination(2 * step, v, -step.square(), u)
        q = products.mixed(x, "the solution of Richardson's iteration")
        if report is not None:
            report.update(step=step, curvature=quotient(curvature, dot(v, v)), negative_curvature=curvature < 0)
        return combine(first, q, eta=1.0 if rho is None else None, rho=rho, cap=cap, report=report)

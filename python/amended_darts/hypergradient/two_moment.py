"""H⁻¹v from v and H v alone: at the passes of the amended gradient, without a setting for its size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ._gradient import Gradient, Loss, gradient
from ._problem import Problem
from ._products import HESSIAN_PRODUCT, VAL_GRADIENT, Products
from ._settings import check_not_negative, check_products
from ._terms import check_scale, combine
from ._vectors import combination, dot

_gradient = gradient


def two_moment(
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
    """g1 − A·x with x ≈ H'⁻¹ v in the span of v and H'v, H' = H + (damping + weight_decay)·I.

    One product with H' gives two curvatures along v, θ = vᵀH'v / vᵀv and τ = ‖H'v‖² / vᵀH'v ≥ θ. The Lanczos method
    solves in that span with the matrix [[θ, β], [β, t]], β² = θ(τ − θ), whose last entry t would cost a second product;
    taking t = τ keeps it positive definite (its determinant is θ²) and gives::

        x = ((θ + τ)·v − H'v) / θ²

    As :func:`neumann` with one term it damps directions of large curvature, where the amended gradient favours them,
    and it finds its own step. It is this project's, not a published method; the fidelity study compares it with the
    others. Where θ ≤ 0 the second term is zero and the report says so.

    Passes: 5 (val; two for H'v without the alphas' gradients; two for A x without the weights'). Extra memory: v, H'v,
    x and one copy of the weights.

    Args:
        train_loss, val_loss, weights, alphas, gradient: as for :func:`amended_darts.hypergradient.amended`.
        damping, weight_decay: added to H's diagonal; weight_decay where the optimizer decays w rather than the loss.
        rho: scales the second term to ‖second term‖ = rho · ‖g1‖.
        cap: keeps ‖second term‖ ≤ cap · ‖g1‖; wise away from an optimum, where θ comes near zero, and where α moves
            the minimum itself (A = −BᵀH): with a large condition number the term can be too long and turn away there.
        radius: of the differences, ‖change of the weights‖₂.
        hvp: "finite", or "exact" for products by double backward (3 passes).
        report: gets ``first_norm``, ``second_norm``, ``ratio``, ``cosine``; ``curvature`` θ (infinite where v is zero)
            and the flag ``negative_curvature``. 0-d tensors on the device.

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
        product = products.hessian(v, VAL_GRADIENT)
        square, curvature = dot(v, v), dot(v, product)
        theta, tau = curvature / square, dot(product, product) / curvature
        usable = ~(curvature <= 0)  # NaN is seen in the result
        of_v = torch.where(usable, (theta + tau) / theta.square(), 0.0)
        of_product = torch.where(usable, -1 / theta.square(), 0.0)
        q = products.mixed(combination(of_v, v, of_product, product), HESSIAN_PRODUCT)
        if report is not None:
            report["curvature"] = torch.where(square > 0, theta, torch.inf)
            report["negative_curvature"] = (curvature <= 0) & (square > 0)
        return combine(first, q, eta=1.0 if rho is None else None, rho=rho, cap=cap, report=report)

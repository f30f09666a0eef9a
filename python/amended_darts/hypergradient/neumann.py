"""The inverse Hessian as a truncated Neumann series (Lorraine et al., arXiv 1911.02590; iDARTS, arXiv 2106.10784)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ._gradient import Gradient, Loss, gradient
from ._perturbation import global_norm
from ._problem import Problem
from ._products import VAL_GRADIENT, Products
from ._settings import check_count, check_not_negative, check_positive, check_products
from ._terms import check_scale, combine
from ._vectors import add_, combination, quotient

_gradient = gradient


def neumann(
    train_loss: Loss,
    val_loss: Loss,
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    *,
    terms: int,
    lr: float,
    damping: float = 0.0,
    weight_decay: float = 0.0,
    rho: float | None = None,
    cap: float | None = None,
    radius: float = 0.01,
    hvp: str = "finite",
    gradient: Gradient = _gradient,
    report: dict[str, Any] | None = None,
) -> list[Tensor]:
    """g1 − lr·A·Σ_{k ≤ terms} (I − lr·H')ᵏ·v with H' = H + (damping + weight_decay)·I.

    The series tends to H'⁻¹ v as terms grow if 0 < lr·λ < 2 for every eigenvalue λ of H', and diverges otherwise. With
    terms = 0 it is −lr·A v. It is what differentiating through ``terms + 1`` gradient steps near an optimum gives.

    Passes: 3 + 2·terms (val; two per term without the alphas' gradients; two for A·sum without the weights'). Extra
    memory: the sum, the term and the product, each of the size of w, and one copy of the weights.

    Args:
        train_loss, val_loss, weights, alphas, gradient: as for :func:`amended_darts.hypergradient.amended`.
        terms: highest power of the series, at least 0.
        lr: its step: about 1 / (largest eigenvalue of H'), whatever the learning rate of w is.
        damping, weight_decay: added to H's diagonal; weight_decay where the optimizer decays w rather than the loss.
        rho: scales the second term to ‖second term‖ = rho · ‖g1‖.
        cap: keeps ‖second term‖ ≤ cap · ‖g1‖.
        radius: of the differences, ‖change of the weights‖₂.
        hvp: "finite", or "exact" for products by double backward (2 + terms passes).
        report: gets ``first_norm``, ``second_norm``, ``ratio``, ``cosine``, and ``last_term``: ‖(I − lr·H')ᵏ v‖ / ‖v‖
            of the last power, above 1 where the series diverges. 0-d tensors on the device.

    Returns:
        One gradient for each alpha.

    Raises:
        ValueError: settings or lists that do not fit.
        FloatingPointError: v or a term is not finite (on the CPU; elsewhere the result is not finite either).
    """
    check_count(0, terms=terms)
    check_positive(lr=lr)
    check_not_negative(damping=damping, weight_decay=weight_decay)
    check_scale(rho, cap)
    check_products(hvp, radius)
    with Problem(train_loss, val_loss, weights, alphas, gradient) as problem:
        first, term = problem.val_gradients()
        products = Products(problem, hvp, radius, damping + weight_decay)
        v_norm, total, name = global_norm(term), [t.clone() for t in term], VAL_GRADIENT
        for k in range(terms):
            term = combination(1.0, term, -lr, products.hessian(term, name))
            add_(total, 1.0, term)
            name = f"term {k + 1} of the Neumann series"
        q = products.mixed(total, name)
        if report is not None:
            report["last_term"] = quotient(global_norm(term), v_norm)
        return combine(first, q, eta=lr if rho is None else None, rho=rho, cap=cap, report=report)

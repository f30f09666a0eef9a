"""The amended gradient of Bi et al., arXiv 1910.11831."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ._gradient import Gradient, Loss, gradient
from ._problem import Problem
from ._products import HESSIAN_PRODUCT, VAL_GRADIENT, Products
from ._settings import check_products
from ._terms import check_size, combine

_gradient = gradient


def amended(
    train_loss: Loss,
    val_loss: Loss,
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    *,
    eta: float | None = None,
    rho: float | None = None,
    cap: float | None = None,
    radius: float = 0.01,
    hvp: str = "finite",
    gradient: Gradient = _gradient,
    report: dict[str, Any] | None = None,
) -> list[Tensor]:
    """g1 − η·A·H·v, all at the current weights (Bi et al. 2019, eq. 6).

    With v = ∂L_val/∂w, by central differences of radius R = radius / ‖·‖₂::

        u = [∂w L_train(w + R v) − ∂w L_train(w − R v)] / 2R  ≈ H v
        q = [∂α L_train(w + R u) − ∂α L_train(w − R u)] / 2R  ≈ A u
        result = g1 − η q

    Passes: 5 (val; two for u without the alphas' gradients; two for q without the weights'). Extra memory: v, u and one
    copy of the weights.

    Args:
        train_loss, val_loss: functions of no arguments; both passes of a difference draw the same random numbers.
        weights, alphas: leaf tensors that require grad.
        eta: absolute, as published; its unit is 1 / H², so that the term's size drifts over a search.
        rho: relative: ‖second term‖ = rho · ‖g1‖. Give exactly one of eta and rho.
        cap: keeps ‖second term‖ ≤ cap · ‖g1‖.
        radius: of both differences, in units of weights.
        hvp: "finite", or "exact" for H v and A u by double backward (3 passes; no custom operators inside).
        gradient: how derivatives are taken; norms are those of what it returns.
        report: gets ``first_norm``, ``second_norm``, ``direction_norm`` (‖A H v‖), ``ratio`` (second to first) and
            ``cosine`` (between them), 0-d tensors on the device.

    Returns:
        One gradient for each alpha. Nothing is read back from a device on the way.

    Raises:
        ValueError: settings or lists that do not fit.
        FloatingPointError: v or u is not finite (on the CPU; elsewhere the result is not finite either).
    """
    check_size(eta, rho, cap)
    check_products(hvp, radius)
    with Problem(train_loss, val_loss, weights, alphas, gradient) as problem:
        first, v = problem.val_gradients()
        products = Products(problem, hvp, radius)
        q = products.mixed(products.hessian(v, VAL_GRADIENT), HESSIAN_PRODUCT)
        return combine(first, q, eta=eta, rho=rho, cap=cap, report=report)

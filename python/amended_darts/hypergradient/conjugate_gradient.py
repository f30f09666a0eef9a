"""The implicit function theorem with H⁻¹v by conjugate gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ._gradient import Gradient, Loss, gradient
from ._problem import Problem, check_products
from ._terms import combine

_gradient = gradient


def conjugate_gradient(
    train_loss: Loss,
    val_loss: Loss,
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    *,
    iterations: int = 5,
    damping: float = 0.0,
    weight_decay: float = 0.0,
    radius: float = 0.01,
    hvp: str = "finite",
    gradient: Gradient = _gradient,
    report: dict[str, Any] | None = None,
) -> list[Tensor]:
    """g1 − A·x with x from ``iterations`` steps of conjugate gradients on (H + δI)x = v, δ = damping + weight_decay.

    Exact at convergence (Pedregosa 2016, algorithm 1). H of a network is indefinite away from an optimum: a step that
    meets curvature pᵀ(H + δI)p ≤ 0 is not taken, nor is any after it, and the report says so. If the first one does, x
    stays zero and the result is g1.

    Passes: 3 + 2·iterations, made in full: whether to stop is decided on the device, where nothing is read back.
    Extra memory: four lists of the weights' size and one copy of the weights.

    Args:
        train_loss, val_loss, weights, alphas, gradient: as for :func:`amended_darts.hypergradient.amended`.
        iterations: products with H.
        damping, weight_decay: added to H's diagonal.
        radius, hvp: as for :func:`amended_darts.hypergradient.amended`.
        report: gets ``first_norm``, ``second_norm``, ``direction_norm``, ``ratio``, ``cosine``, and ``residual``
            (‖v − (H + δI)x‖ / ‖v‖ as the recurrence has it), ``curvature`` (the smallest pᵀ(H + δI)p / ‖p‖² met),
            ``negative_curvature`` (bool) and ``steps`` taken; 0-d tensors.

    Returns:
        One gradient for each alpha.

    Raises:
        ValueError: settings or lists that do not fit.
        FloatingPointError: a direction is not finite (on the CPU).
    """
    check_products(hvp, radius)
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations}")
    shift = damping + weight_decay
    with Problem(train_loss, val_loss, weights, alphas, gradient) as problem:
        first, residual = problem.val_gradients()
        x = [torch.zeros_like(t) for t in residual]
        direction = list(residual)
        start = squared = _dot(residual, residual)
        going = squared > 0
        negative = torch.zeros_like(going)
        smallest = torch.full_like(squared, float("inf"))
        steps = torch.zeros_like(squared)
        for k in range(iterations):
            curved = problem.hessian_vector(direction, hvp, radius, f"direction {k} of conjugate gradients")
            curved = [h + shift * p for h, p in zip(curved, direction, strict=True)]
            curvature, length = _dot(direction, curved), _dot(direction, direction)
            smallest = torch.where(going, torch.minimum(smallest, _ratio(curvature, length)), smallest)
            negative = negative | (going & (curvature <= 0))
            going = going & (curvature > 0)
            alpha = torch.where(going, _ratio(squared, curvature), torch.zeros_like(squared))
            x = _add(x, alpha, direction)
            residual = _add(residual, -alpha, curved)
            after = _dot(residual, residual)
            direction = _add(residual, torch.where(going, _ratio(after, squared), torch.zeros_like(after)), direction)
            squared = torch.where(going, after, squared)
            steps = steps + going
            going = going & (squared > 0)
        direction = problem.mixed_vector(x, hvp, radius, "the solution of conjugate gradients")
    result = combine(first, direction, eta=1.0, report=report)
    if report is not None:
        report["residual"] = _ratio(squared, start).sqrt()
        report["curvature"], report["negative_curvature"], report["steps"] = smallest, negative, steps
    return result


def _dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    products = [(x.double() * y.double()).sum() for x, y in zip(a, b, strict=True)]
    return torch.stack([p.to(products[0]) for p in products]).sum()


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is 0."""
    return torch.where(b == 0, torch.zeros_like(a), a / b)


def _add(a: Sequence[Tensor], factor: Tensor, b: Sequence[Tensor]) -> list[Tensor]:
    return [x + factor.to(x) * y for x, y in zip(a, b, strict=True)]

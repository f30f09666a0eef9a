"""DARTS-2nd: the gradient through one unrolled step of SGD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ._gradient import Gradient, Loss, gradient
from ._problem import Problem, check_products
from ._terms import combine

_gradient = gradient


def unrolled(
    train_loss: Loss,
    val_loss: Loss,
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    *,
    lr: float,
    momentum: float = 0.0,
    momentum_buffers: Sequence[Tensor | None] | None = None,
    weight_decay: float = 0.0,
    radius: float = 0.01,
    hvp: str = "finite",
    gradient: Gradient = _gradient,
    report: dict[str, Any] | None = None,
) -> list[Tensor]:
    """∂α L_val(w′, α) − ξ·A(w)·∂L_val/∂w′ with w′ = w − ξ(μ·buf + ∂L_train/∂w + λ·w) (Liu et al. 2018, eq. 7).

    w′ takes the place of w for one pass: the network is not copied. A·(·) is a central difference at w of radius
    radius / ‖∂L_val/∂w′‖₂.

    Passes: 4 (train, val at w′, two without the weights' gradients). Extra memory: the step, v and one copy of the
    weights.

    Args:
        train_loss, val_loss, weights, alphas, gradient: as for :func:`amended_darts.hypergradient.amended`.
        lr: ξ, the learning rate of the weights.
        momentum, momentum_buffers: μ and SGD's buffers, one for each weight; None (or an entry None): zeros.
        weight_decay: λ.
        radius: of the difference, in units of weights.
        hvp: "finite" or "exact" (double backward).
        report: gets ``first_norm``, ``second_norm``, ``direction_norm``, ``ratio``, ``cosine``; 0-d tensors.

    Returns:
        One gradient for each alpha.

    Raises:
        ValueError: settings or lists that do not fit.
        FloatingPointError: ∂L_val/∂w′ is not finite (on the CPU).
    """
    check_products(hvp, radius)
    if not lr > 0:
        raise ValueError(f"lr must be positive, got {lr}")
    if momentum_buffers is not None and len(momentum_buffers) != len(weights):
        raise ValueError(f"momentum_buffers must hold {len(weights)} entries as weights, got {len(momentum_buffers)}")
    with Problem(train_loss, val_loss, weights, alphas, gradient) as problem:
        step = problem.train_gradient_of_weights()
        with torch.no_grad():
            for i, w in enumerate(problem.weights):
                step[i] = step[i] + weight_decay * w
                buffer = momentum_buffers[i] if momentum_buffers is not None else None
                if buffer is not None:
                    step[i] = step[i] + momentum * buffer
        with problem.moved(step, -lr):
            first, v = problem.val_gradients()
        direction = problem.mixed_vector(v, hvp, radius, "the validation loss's gradient after the unrolled step")
    return combine(first, direction, eta=lr, report=report)

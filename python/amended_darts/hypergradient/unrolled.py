"""The unrolled gradient of DARTS (its second-order approximation), arXiv 1806.09055."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ._gradient import Gradient, Loss, gradient
from ._problem import Problem
from ._products import Products
from ._settings import check_not_negative, check_products
from ._terms import check_scale, combine

_gradient = gradient


def unrolled(
    train_loss: Loss,
    val_loss: Loss,
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    *,
    lr: float,
    momentum_buffers: Sequence[Tensor | None] | None = None,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    rho: float | None = None,
    cap: float | None = None,
    radius: float = 0.01,
    hvp: str = "finite",
    gradient: Gradient = _gradient,
    report: dict[str, Any] | None = None,
) -> list[Tensor]:
    """Differentiates through one SGD step on w (Liu et al. 2018, eq. 7 and 8).

    ::

        w' = w − lr·(momentum·buffer + ∂w L_train(w) + weight_decay·w)
        v' = ∂w L_val(w')
        q = [∂α L_train(w + R v') − ∂α L_train(w − R v')] / 2R  ≈ A v',  R = radius / ‖v'‖
        result = ∂α L_val(w') − lr·q

    w' is the step that ``torch.optim.SGD`` would take, without dampening and Nesterov.

    Passes: 4 (train for w' without the alphas' gradients; val at w'; two for q without the weights'). Extra memory: the
    step or v', and one copy of the weights.

    Args:
        train_loss, val_loss, weights, alphas, gradient: as for :func:`amended_darts.hypergradient.amended`.
        lr: learning rate of w at this moment.
        momentum_buffers: SGD's, one for each weight, None for a weight that has none yet; None for no momentum at all.
        momentum: factor of the buffers.
        weight_decay: L2, as SGD's; it does not enter A.
        rho: scales the second term to ‖second term‖ = rho · ‖∂α L_val(w')‖.
        cap: keeps ‖second term‖ ≤ cap · ‖∂α L_val(w')‖.
        radius: of the difference, ‖change of the weights‖₂; the published value.
        hvp: "finite", or "exact" for A v' by double backward (3 passes).
        report: gets ``first_norm``, ``second_norm``, ``ratio``, ``cosine``, 0-d tensors on the device.

    Returns:
        One gradient for each alpha.

    Raises:
        ValueError: settings or lists that do not fit.
        FloatingPointError: the step or v' is not finite (on the CPU; elsewhere the result is not finite either).
    """
    check_not_negative(lr=lr, momentum=momentum, weight_decay=weight_decay)
    check_scale(rho, cap)
    check_products(hvp, radius)
    with Problem(train_loss, val_loss, weights, alphas, gradient) as problem:
        buffers = _checked_buffers(momentum_buffers, problem.weights)
        step = problem.train_gradient_of_weights()
        with torch.no_grad():
            for i, (w, buffer) in enumerate(zip(problem.weights, buffers, strict=True)):
                if weight_decay:
                    step[i] = step[i] + weight_decay * w
                if buffer is not None and momentum:
                    step[i] = step[i] + momentum * buffer
        first, v = problem.val_gradients_after(step, lr)
        del step
        q = Products(problem, hvp, radius).mixed(v, "the validation loss's gradient after the unrolled step")
        return combine(first, q, eta=lr if rho is None else None, rho=rho, cap=cap, report=report)


def _checked_buffers(buffers: Sequence[Tensor | None] | None, weights: Sequence[Tensor]) -> Sequence[Tensor | None]:
    if buffers is None:
        return [None] * len(weights)
    if len(buffers) != len(weights):
        raise ValueError(f"momentum_buffers must hold one entry for each of {len(weights)} weights, got {len(buffers)}")
    for i, (buffer, w) in enumerate(zip(buffers, weights, strict=True)):
        if buffer is not None and buffer.shape != w.shape:
            raise ValueError(
                f"momentum_buffers[{i}] must have its weight's shape {list(w.shape)}, got {list(buffer.shape)}"
            )
    return buffers

"""DARTS-1st: g1 alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ._gradient import Gradient, Loss, gradient
from ._problem import Problem
from ._terms import report_first_order

_gradient = gradient


def first_order(
    train_loss: Loss,
    val_loss: Loss,
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    *,
    gradient: Gradient = _gradient,
    report: dict[str, Any] | None = None,
) -> list[Tensor]:
    """∂L_val/∂α: the second term is taken to be zero (Liu et al. 2018, section 2.3, ξ = 0).

    Passes: 1, without the weights' gradients. Extra memory: none.

    Args:
        train_loss: not evaluated.
        val_loss: a function of no arguments that returns the validation loss at the current weights and alphas.
        weights, alphas: leaf tensors that require grad.
        gradient: how derivatives are taken.
        report: gets ``first_norm``, ``second_norm``, ``ratio`` and ``cosine`` (the last three 0), 0-d tensors.

    Returns:
        One gradient for each alpha.

    Raises:
        ValueError: lists that do not fit.
    """
    with Problem(train_loss, val_loss, weights, alphas, gradient) as problem:
        first = problem.val_gradient_of_alphas()
    report_first_order(first, report)
    return first

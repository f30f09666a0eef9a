"""The hypergradient of the implicit function theorem, with a dense Hessian: for small problems and tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ._gradient import Gradient, Loss, gradient
from ._problem import Problem
from ._terms import combine

_gradient = gradient


def exact(
    train_loss: Loss,
    val_loss: Loss,
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    *,
    damping: float = 0.0,
    weight_decay: float = 0.0,
    gradient: Gradient = _gradient,
    report: dict[str, Any] | None = None,
) -> list[Tensor]:
    """g1 − A·(H + (damping + weight_decay)·I)⁻¹·v with H built row by row (implicit function theorem).

    H is singular where BatchNorm without affine makes the loss ignore a weight's scale, and indefinite away from an
    optimum: look at ``smallest_eigenvalue`` before believing the result.

    Passes: 2 + the number of weights, each with double backward. Extra memory: H, the number of weights squared.

    Args:
        train_loss, val_loss, weights, alphas, gradient: as for :func:`amended_darts.hypergradient.amended`.
        damping, weight_decay: added to H's diagonal.
        report: also gets ``smallest_eigenvalue`` and ``largest_eigenvalue`` of H + (damping + weight_decay)·I.

    Returns:
        One gradient for each alpha.

    Raises:
        ValueError: lists that do not fit.
        RuntimeError: H + (damping + weight_decay)·I is singular, or an operator has no second derivative.
    """
    with Problem(train_loss, val_loss, weights, alphas, gradient) as problem:
        first, v = problem.val_gradients()
        sizes = [w.numel() for w in problem.weights]
        flat = torch.cat([t.reshape(-1) for t in v])
        rows = []
        for i in range(flat.numel()):
            unit = torch.zeros_like(flat)
            unit[i] = 1
            row = problem.exact_hessian_vector(_unflatten(unit, sizes, problem.weights))
            rows.append(torch.cat([t.reshape(-1) for t in row]))
        hessian = torch.stack(rows)
        hessian = (hessian + hessian.T) / 2
        hessian.diagonal().add_(damping + weight_decay)
        if report is not None:
            eigenvalues = torch.linalg.eigvalsh(hessian)
            report["smallest_eigenvalue"], report["largest_eigenvalue"] = eigenvalues[0], eigenvalues[-1]
        solution = torch.linalg.solve(hessian, flat)
        q = problem.exact_mixed_vector(_unflatten(solution, sizes, problem.weights))
    return combine(first, q, eta=1.0, report=report)


def _unflatten(flat: Tensor, sizes: Sequence[int], like: Sequence[Tensor]) -> list[Tensor]:
    return [part.reshape(t.shape) for part, t in zip(flat.split(list(sizes)), like, strict=True)]

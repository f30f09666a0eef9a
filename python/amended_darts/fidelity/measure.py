"""Estimators run on a problem, and what comes out compared with a truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from amended_darts.fidelity.problems import Bilevel, Dense, flat
from amended_darts.hypergradient import amended, conjugate_gradient, neumann, unrolled

PASSES = {
    "unrolled": 4,
    "A v": 3,
    "amended": 5,
    "neumann(1)": 5,
    "two-moment": 5,
    "cg(1)": 5,
    "cg(5)": 13,
    "cg(20)": 43,
    "neumann(20)": 43,
}
"""Estimators in the order of the table, with their forward+backward passes."""


def second_terms(problem: Bilevel, g1: Tensor, lr: float, damping: float, radius: float) -> dict[str, Tensor]:
    """What each estimator puts in place of −A H⁻¹ v: its result less ``g1``, [m] each.

    ``lr`` is the step of ``unrolled`` and ``neumann``. ``A v`` is −lr·A v: neumann without a further term; one step of
    conjugate gradients, or of minimal residuals, has the same direction and another size. ``amended`` has η = 1.
    """
    arguments: Any = problem.arguments()
    products: Any = {"radius": radius}
    results = {
        "unrolled": unrolled(*arguments, lr=lr, **products),
        "A v": neumann(*arguments, terms=0, lr=lr, **products),
        "amended": amended(*arguments, eta=1.0, **products),
        "neumann(1)": neumann(*arguments, terms=1, lr=lr, damping=damping, **products),
        "cg(1)": conjugate_gradient(*arguments, iterations=1, damping=damping, **products),
        "cg(5)": conjugate_gradient(*arguments, iterations=5, damping=damping, **products),
        "cg(20)": conjugate_gradient(*arguments, iterations=20, damping=damping, **products),
        "neumann(20)": neumann(*arguments, terms=20, lr=lr, damping=damping, **products),
    }
    return {name: flat(result) - g1 for name, result in results.items()}


def two_moment(point: Dense, damping: float) -> Tensor:
    """A candidate at five passes that needs no setting: −A x with x in the span of v and H v.

    With θ = vᵀHv / vᵀv and τ = ‖Hv‖² / vᵀHv it is the Lanczos solution x = ((θ + τ) v − H v) / θ², whose unknown
    second diagonal element is taken to be τ. Where θ ≤ 0 the term is zero.
    """
    H = point.H + damping * torch.eye(len(point.v), dtype=point.H.dtype)
    product = H @ point.v
    curvature = point.v @ product
    if curvature <= 0:
        return torch.zeros_like(point.g1)
    theta, tau = curvature / (point.v @ point.v), (product @ product) / curvature
    return -point.A @ ((theta + tau) * point.v - product) / theta**2


@dataclass
class Agreement:
    """Of one estimate with a truth: cosine (0 where a vector is zero) and ‖estimate‖ / ‖truth‖."""

    cosine: float
    ratio: float


def agreement(estimate: Tensor, truth: Tensor) -> Agreement:
    """Compares two vectors of the same length."""
    sizes = estimate.norm() * truth.norm()
    cosine = float(estimate @ truth / sizes) if sizes > 0 else 0.0
    return Agreement(cosine, float(estimate.norm() / truth.norm()))


def sized(g1: Tensor, second: Tensor, rho: float) -> Tensor:
    """g1 + the second term scaled to ‖second‖ = ρ‖g1‖."""
    return g1 + second * (rho * g1.norm() / second.norm()) if second.norm() > 0 else g1


def through_training(problem: Bilevel, steps: int, lr: float) -> Tensor:
    """d L_val(w_T) / dα for w_{t+1} = w_t − lr·∂L_train/∂w: back-propagation through T steps, no H⁻¹ anywhere.

    The weights are back where they were when it returns.
    """
    trajectory = [[w.detach().clone() for w in problem.weights]]
    for _ in range(steps):
        gradients = torch.autograd.grad(problem.train_loss(), problem.weights)
        trajectory.append([w - lr * g for w, g in zip(trajectory[-1], gradients, strict=True)])
        _set(problem, trajectory[-1])
    inputs = [*problem.weights, *problem.alphas]
    count = len(problem.weights)
    gradients = torch.autograd.grad(problem.val_loss(), inputs, allow_unused=True, materialize_grads=True)
    adjoint, result = list(gradients[:count]), flat(gradients[count:])
    for weights in reversed(trajectory[:-1]):
        _set(problem, weights)
        slope = torch.autograd.grad(problem.train_loss(), problem.weights, create_graph=True)
        inner = sum((s * a).sum() for s, a in zip(slope, adjoint, strict=True))
        products = torch.autograd.grad(inner, inputs, allow_unused=True, materialize_grads=True)  # type: ignore[arg-type]
        adjoint = [a - lr * p for a, p in zip(adjoint, products[:count], strict=True)]
        result = result - lr * flat(products[count:])
    return result


@torch.no_grad()
def _set(problem: Bilevel, values: list[Tensor]) -> None:
    for w, value in zip(problem.weights, values, strict=True):
        w.copy_(value)

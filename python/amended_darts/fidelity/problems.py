"""Bilevel problems small enough for a dense Hessian."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Loss = Callable[[], Tensor]


@dataclass
class Bilevel:
    """Two losses over one set of weights and alphas."""

    train_loss: Loss
    val_loss: Loss
    weights: list[Tensor]
    alphas: list[Tensor]

    def arguments(self) -> tuple[Loss, Loss, list[Tensor], list[Tensor]]:
        """What every estimator takes by position."""
        return self.train_loss, self.val_loss, self.weights, self.alphas


@dataclass
class Dense:
    """The derivatives at one point: g1 [m], v [n], H [n, n], A [m, n]."""

    g1: Tensor
    v: Tensor
    H: Tensor
    A: Tensor

    def second(self, damping: float = 0.0) -> Tensor:
        """−A (H + damping·I)⁻¹ v: [m]."""
        shifted = self.H + damping * torch.eye(len(self.v), dtype=self.H.dtype)
        return -self.A @ torch.linalg.solve(shifted, self.v)


def flat(tensors: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    """All elements in one vector, float64."""
    return torch.cat([t.detach().reshape(-1) for t in tensors]).double()


def dense(problem: Bilevel) -> Dense:
    """By double backward, a row of H and a column of A for each weight."""
    count = len(problem.weights)
    inputs = [*problem.weights, *problem.alphas]
    val = torch.autograd.grad(problem.val_loss(), inputs, allow_unused=True, materialize_grads=True)
    slope = torch.autograd.grad(
        problem.train_loss(), problem.weights, create_graph=True, allow_unused=True, materialize_grads=True
    )
    hessian, mixed = [], []
    for element in torch.cat([g.reshape(-1) for g in slope]):
        row = torch.autograd.grad(element, inputs, retain_graph=True, allow_unused=True, materialize_grads=True)
        hessian.append(flat(row[:count]))
        mixed.append(flat(row[count:]))
    H = torch.stack(hessian)
    return Dense(flat(val[count:]), flat(val[:count]), (H + H.T) / 2, torch.stack(mixed).T)


def quadratic(H: Tensor, A: Tensor, v: Tensor, g1: Tensor) -> Bilevel:
    """L_train = ½ wᵀHw + αᵀAw and L_val = vᵀw + g1ᵀα, so that the derivatives are those given everywhere."""
    w = nn.Parameter(torch.zeros_like(v))
    alpha = nn.Parameter(torch.zeros_like(g1))
    return Bilevel(lambda: 0.5 * w @ H @ w + alpha @ A @ w, lambda: v @ w + g1 @ alpha, [w], [alpha])


def counterexample() -> Bilevel:
    """H = diag(1, 10), A = [1 1], v = (1, −½): ⟨−A H v, −A H⁻¹ v⟩ = −4 · 0.95 = −3.8."""
    vectors = ([1.0, 10.0], [[1.0, 1.0]], [1.0, -0.5], [0.0])
    diagonal, A, v, g1 = (torch.tensor(x, dtype=torch.float64) for x in vectors)
    return quadratic(torch.diag(diagonal), A, v, g1)


def random_quadratic(condition: float, correlated: bool, generator: torch.Generator) -> Bilevel:
    """30 weights and 8 alphas; eigenvalues evenly spaced in the logarithm from 1 / condition to 1.

    A and v are isotropic, or ``correlated`` with the curvature as in a network, where H = JᵀJ, A = KᵀJ and v = Jᵀz
    with one Jacobian J: large along directions of large curvature.
    """
    n, m = 30, 8
    basis = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator))[0]
    eigenvalues = torch.logspace(-math.log10(condition), 0, n, dtype=torch.float64)
    A = torch.randn(m, n, dtype=torch.float64, generator=generator)
    v = torch.randn(n, dtype=torch.float64, generator=generator)
    if correlated:
        A, v = A * eigenvalues.sqrt(), v * eigenvalues.sqrt()
    g1 = torch.randn(m, dtype=torch.float64, generator=generator)
    return quadratic(basis * eigenvalues @ basis.T, A @ basis.T, basis @ v, g1)


def ridge(generator: torch.Generator) -> tuple[Bilevel, Callable[[Tensor], Tensor]]:
    """Ridge regression with a decay exp(α_j) for each of 12 features, at its solution.

    Returns:
        The problem, and the function α → L_val(w*(α)), which needs no bilevel gradient at all.
    """
    d, rows = 12, 40
    scale = torch.logspace(0, -1, d, dtype=torch.float64)
    target = torch.randn(d, dtype=torch.float64, generator=generator)
    X, X_val = (torch.randn(rows, d, dtype=torch.float64, generator=generator) * scale for _ in range(2))
    y, y_val = (x @ target + 0.5 * torch.randn(rows, dtype=torch.float64, generator=generator) for x in (X, X_val))
    alpha = nn.Parameter(-2 + 0.5 * torch.randn(d, dtype=torch.float64, generator=generator))

    def solution(a: Tensor) -> Tensor:
        return torch.linalg.solve(X.T @ X / rows + torch.diag(a.exp()), X.T @ y / rows)

    def loss_at(a: Tensor) -> Tensor:
        return 0.5 * (X_val @ solution(a) - y_val).square().mean()

    w = nn.Parameter(solution(alpha.detach()))
    train = lambda: 0.5 * (X @ w - y).square().mean() + 0.5 * (alpha.exp() * w.square()).sum()  # noqa: E731
    return Bilevel(train, lambda: 0.5 * (X_val @ w - y_val).square().mean(), [w], [alpha]), loss_at

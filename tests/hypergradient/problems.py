"""Small bilevel problems, and their derivatives by double backward, written apart from the estimators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn


@dataclass
class Bilevel:
    """Two losses over one set of weights and alphas."""

    train_loss: Callable[[], Tensor]
    val_loss: Callable[[], Tensor]
    weights: list[Tensor]
    alphas: list[Tensor]
    network: nn.Module


class Mixed(nn.Module):
    """Two layers, each a softmax mixture of two operations: smooth, so that differences and derivatives can agree."""

    def __init__(self, norm: bool = False, dropout: float = 0.0, embedding: bool = False, conv: bool = False) -> None:
        super().__init__()
        self.alpha = nn.ParameterList([nn.Parameter(torch.randn(2)) for _ in range(2)])
        self.embedding = nn.Embedding(10, 6) if embedding else None
        self.conv = nn.Conv1d(1, 2, 3, padding=1) if conv else None
        width = 12 if conv else 6
        self.first = nn.ModuleList([nn.Linear(width, 5), nn.Linear(width, 5)])
        self.second = nn.ModuleList([nn.Linear(5, 3), nn.Linear(5, 3)])
        self.norm = nn.BatchNorm1d(5) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        if self.embedding is not None:
            x = self.embedding((x[:, 0] * 3).long().remainder(10))
        if self.conv is not None:
            x = self.conv(x.unsqueeze(1)).flatten(1).tanh()
        a, b = (alpha.softmax(0) for alpha in self.alpha)
        x = a[0] * self.first[0](x).tanh() + a[1] * nn.functional.softplus(self.first[1](x))
        x = self.dropout(self.norm(x))
        return b[0] * self.second[0](x) + b[1] * self.second[1](x).tanh()


def bilevel(
    seed: int = 0, dtype: torch.dtype = torch.float64, part: tuple[int, int] = (0, 1), **settings: float | bool
) -> Bilevel:
    """A classification problem with a training and a validation batch of 8; or the ``part`` (rank, ranks) of each."""
    torch.manual_seed(seed)
    network = Mixed(**settings).to(dtype)  # type: ignore[arg-type]
    batches = [(torch.randn(8, 6, dtype=dtype), torch.randint(3, (8,))) for _ in range(2)]
    rank, ranks = part
    batches = [(x[rank::ranks], labels[rank::ranks]) for x, labels in batches]
    own = {id(alpha) for alpha in network.alpha}

    def loss(i: int) -> Callable[[], Tensor]:
        return lambda: nn.functional.cross_entropy(network(batches[i][0]), batches[i][1])

    weights: list[Tensor] = [p for p in network.parameters() if id(p) not in own]
    return Bilevel(loss(0), loss(1), weights, list(network.alpha), network)


def quadratic(H: Tensor, A: Tensor, v: Tensor) -> Bilevel:
    """L_train = ½wᵀHw + αᵀAw, L_val = vᵀw + ½‖α‖²: H, A and v as given, g1 = α."""
    w = nn.Parameter(torch.randn_like(v))
    alpha = nn.Parameter(torch.randn(len(A), dtype=v.dtype))
    network = nn.Module()
    network.w, network.alpha = w, alpha
    return Bilevel(lambda: 0.5 * w @ H @ w + alpha @ A @ w, lambda: v @ w + 0.5 * alpha @ alpha, [w], [alpha], network)


def flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([t.detach().reshape(-1) for t in tensors])


def derivatives(problem: Bilevel) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(g1, v, H, A) as dense tensors, by double backward over single elements."""

    def first(loss: Callable[[], Tensor], inputs: list[Tensor], create: bool = False) -> list[Tensor]:
        return list(torch.autograd.grad(loss(), inputs, create_graph=create, allow_unused=True, materialize_grads=True))

    g1, v = flat(first(problem.val_loss, problem.alphas)), flat(first(problem.val_loss, problem.weights))
    slope = torch.cat([g.reshape(-1) for g in first(problem.train_loss, problem.weights, create=True)])
    hessian, mixed = [], []
    for element in slope:
        for rows, inputs in ((hessian, problem.weights), (mixed, problem.alphas)):
            grads = torch.autograd.grad(element, inputs, retain_graph=True, allow_unused=True, materialize_grads=True)
            rows.append(flat(list(grads)))
    return g1, v, torch.stack(hessian), torch.stack(mixed).T


def relative(got: Tensor, want: Tensor) -> float:
    """‖got − want‖ / ‖want‖."""
    return ((got - want).norm() / want.norm()).item()


models = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**16),
        "norm": st.booleans(),
        "embedding": st.booleans(),
        "conv": st.booleans(),
    }
)


def arguments(problem: Bilevel) -> tuple[Any, Any, list[Tensor], list[Tensor]]:
    """What every estimator takes by position."""
    return problem.train_loss, problem.val_loss, problem.weights, problem.alphas


def state(problem: Bilevel) -> list[Any]:
    """Values, flags and ``.grad`` of all weights and alphas."""
    tensors = [*problem.weights, *problem.alphas]
    return [(t.detach().clone(), t.requires_grad, None if t.grad is None else t.grad.clone()) for t in tensors]


def assert_same_state(before: list[Any], problem: Bilevel) -> None:
    for (value, flag, grad), (now, now_flag, now_grad) in zip(before, state(problem), strict=True):
        assert torch.equal(value, now)
        assert flag == now_flag
        assert (grad is None) == (now_grad is None)
        assert grad is None or torch.equal(grad, now_grad)

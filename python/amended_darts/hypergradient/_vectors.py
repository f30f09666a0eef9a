"""Arithmetic on lists of tensors with scalars that stay on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """⟨a, b⟩ over all elements, summed in float64: 0-d, on the device of the first."""
    parts = [(x * y).sum(dtype=torch.float64) for x, y in zip(a, b, strict=True)]
    return torch.stack([part.to(parts[0].device) for part in parts]).sum()


@torch.no_grad()
def combination(s: Tensor | float, a: Sequence[Tensor], t: Tensor | float, b: Sequence[Tensor]) -> list[Tensor]:
    """s·a + t·b, with 0-d tensors or numbers s and t."""
    return [_like(s, x) * x + _like(t, y) * y for x, y in zip(a, b, strict=True)]


@torch.no_grad()
def add_(a: Sequence[Tensor], t: Tensor | float, b: Sequence[Tensor]) -> None:
    """a += t·b, in place."""
    for x, y in zip(a, b, strict=True):
        x.add_(_like(t, y) * y)


def quotient(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is 0."""
    return torch.where(b == 0, torch.zeros_like(b), a / b)


def _like(scalar: Tensor | float, tensor: Tensor) -> Tensor | float:
    return scalar.to(tensor) if isinstance(scalar, Tensor) else scalar

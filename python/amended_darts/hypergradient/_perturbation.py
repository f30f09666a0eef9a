"""Norms, perturbations and differences of lists of tensors; lists may mix dtypes and devices.

Each function is one fused call per dtype and device (``torch.ops.amended_darts``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def _groups(tensors: Sequence[Tensor]) -> Iterator[list[int]]:
    groups: dict[tuple[torch.dtype, torch.device], list[int]] = {}
    for i, t in enumerate(tensors):
        groups.setdefault((t.dtype, t.device), []).append(i)
    yield from groups.values()


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """‖tensors‖₂ over all elements, 0-d on the device of the first."""
    norms = [
        torch.linalg.vector_norm(torch.stack(torch._foreach_norm([tensors[i] for i in g]))) for g in _groups(tensors)
    ]
    if len(norms) == 1:
        return norms[0]
    return torch.linalg.vector_norm(torch.stack([n.to(norms[0]) for n in norms]))


def step_size(vector: Sequence[Tensor], radius: float) -> Tensor:
    """radius / ‖vector‖₂, 0 for a zero vector; 0-d, on the device."""
    norm = global_norm(vector)
    return torch.where(norm > 0, radius / norm, torch.zeros_like(norm))


@torch.no_grad()
def perturb_(weights: Sequence[Tensor], origin: Sequence[Tensor], vector: Sequence[Tensor], step: Tensor) -> None:
    """weights = origin + step · vector, in place."""
    for w, o, v in zip(weights, origin, vector, strict=True):
        w.copy_(o + step.to(v) * v)


@torch.no_grad()
def restore_(weights: Sequence[Tensor], origin: Sequence[Tensor]) -> None:
    """weights = origin, bit for bit."""
    torch._foreach_copy_(list(weights), list(origin))


@torch.no_grad()
def central_difference(plus: Sequence[Tensor], minus: Sequence[Tensor], step: Tensor) -> list[Tensor]:
    """(plus − minus) / (2·step), zeros where step is 0."""
    scale = torch.where(step > 0, 0.5 / step, torch.zeros_like(step))
    return [(p - m) * scale.to(p) for p, m in zip(plus, minus, strict=True)]

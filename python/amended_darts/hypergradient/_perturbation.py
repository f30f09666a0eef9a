"""The perturbation operators over lists that may mix dtypes and devices: one call for each pair of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

import amended_darts_ext as ext


def _groups(tensors: Sequence[Tensor]) -> Iterator[list[int]]:
    groups: dict[tuple[torch.dtype, torch.device], list[int]] = {}
    for i, t in enumerate(tensors):
        groups.setdefault((t.dtype, t.device), []).append(i)
    yield from groups.values()


def _pick(tensors: Sequence[Tensor], group: list[int]) -> list[Tensor]:
    return [tensors[i] for i in group]


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """‖tensors‖₂ over all elements, 0-d on the device of the first."""
    norms = [ext.global_norm(_pick(tensors, group)) for group in _groups(tensors)]
    if len(norms) == 1:
        return norms[0]
    return torch.linalg.vector_norm(torch.stack([norm.to(norms[0]) for norm in norms]))


def step_size(vector: Sequence[Tensor], radius: float) -> Tensor:
    """radius / ‖vector‖₂, 0 for a zero vector; 0-d, on the device."""
    groups = list(_groups(vector))
    if len(groups) == 1:
        return ext.step_size(list(vector), radius)
    norm = global_norm(vector)
    return torch.where(norm == 0, torch.zeros_like(norm), radius / norm)


def perturb_(
    weights: Sequence[Tensor], origin: Sequence[Tensor], vector: Sequence[Tensor], step: Tensor, sign: float
) -> None:
    """weights = origin + sign · step · vector, in place."""
    for group in _groups(weights):
        first = weights[group[0]]
        ext.perturb_(_pick(weights, group), _pick(origin, group), _pick(vector, group), step.to(first), sign)


@torch.no_grad()
def restore_(weights: Sequence[Tensor], origin: Sequence[Tensor]) -> None:
    """weights = origin, bit for bit."""
    torch._foreach_copy_(list(weights), list(origin))


def central_difference(plus: Sequence[Tensor], minus: Sequence[Tensor], step: Tensor) -> list[Tensor]:
    """(plus − minus) / (2·step), zeros where step is 0."""
    result = list(plus)
    for group in _groups(plus):
        differences = ext.central_difference(_pick(plus, group), _pick(minus, group), step.to(plus[group[0]]))
        for i, difference in zip(group, differences, strict=True):
            result[i] = difference
    return result

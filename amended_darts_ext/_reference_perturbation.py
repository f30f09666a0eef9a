"""The perturbation operators in plain PyTorch (``torch._foreach_*``): the twins that tests compare with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Twin of :func:`amended_darts_ext.perturbation.global_norm`."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm([t.double() for t in tensors]))).to(
        tensors[0].dtype
    )


def step_size(direction: Sequence[Tensor], radius: float) -> Tensor:
    """Twin of :func:`amended_darts_ext.perturbation.step_size`."""
    norm = global_norm([t.double() for t in direction])
    step = torch.where(norm.isfinite(), radius / norm, torch.nan)
    return torch.where(norm == 0, 0.0, step).to(direction[0].dtype)


@torch.no_grad()
def perturb_(
    weights: Sequence[Tensor],
    origin: Sequence[Tensor],
    direction: Sequence[Tensor],
    step: Tensor,
    sign: float = 1.0,
) -> None:
    """Twin of :func:`amended_darts_ext.perturbation.perturb_`."""
    if len(weights) == 0:
        return
    moved = torch._foreach_add(list(origin), torch._foreach_mul(list(direction), sign * step))
    torch._foreach_copy_(list(weights), moved)


def central_difference(plus: Sequence[Tensor], minus: Sequence[Tensor], step: Tensor) -> list[Tensor]:
    """Twin of :func:`amended_darts_ext.perturbation.central_difference`."""
    if len(plus) == 0:
        return []
    width = torch.where(step == 0, torch.inf, 2 * step)
    return list(torch._foreach_div(torch._foreach_sub(list(plus), list(minus)), width))

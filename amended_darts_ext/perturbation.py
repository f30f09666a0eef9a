"""Finite differences over all weights of a network at once, as typed functions over the operators.

Lists hold float32 tensors, or float64 ones, of one device; any strides, 0-d and empty tensors too. Empty lists are fine
where a ``step`` tells the device. ``step`` stays on the device: nothing is read back.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["central_difference", "global_norm", "perturb_", "step_size"]


def _check_some(tensors: Sequence[Tensor], name: str, op: str) -> None:
    """The dispatcher cannot choose a device for a list without tensors."""
    if len(tensors) == 0:
        raise RuntimeError(f"{op}: {name} must hold at least one tensor, got an empty list")


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """‖tensors‖₂ over all elements of all tensors, 0-d; summed in float64, in an order that does not depend on threads.

    Raises:
        RuntimeError: an empty list, or tensors that differ in dtype or device; the sentence names the argument.
    """
    _check_some(tensors, "tensors", "global_norm")
    return torch.ops.amended_darts.global_norm(tensors)


def step_size(direction: Sequence[Tensor], radius: float) -> Tensor:
    """radius / ‖direction‖₂, 0-d: the step whose length is ``radius``; 0 where the direction is zero, NaN where its
    norm is not finite.

    Raises:
        RuntimeError: as :func:`global_norm`, or a negative radius.
    """
    _check_some(direction, "direction", "step_size")
    return torch.ops.amended_darts.step_size(direction, radius)


def perturb_(
    weights: Sequence[Tensor],
    origin: Sequence[Tensor],
    direction: Sequence[Tensor],
    step: Tensor,
    sign: float = 1.0,
) -> None:
    """weights = origin + sign · step · direction, in place, in one pass; version counters move.

    The way back, bit for bit, is ``torch._foreach_copy_(weights, origin)``.

    Raises:
        RuntimeError: lists that do not match tensor by tensor, a step that is not one number beside them, or weights
            that share memory with each other or with the other lists.
    """
    torch.ops.amended_darts.perturb_(weights, origin, direction, step, sign)


def central_difference(plus: Sequence[Tensor], minus: Sequence[Tensor], step: Tensor) -> list[Tensor]:
    """(plus − minus) / (2 · step); zeros where step is 0, so that a zero direction gives a zero difference.

    Raises:
        RuntimeError: as :func:`perturb_`.
    """
    return torch.ops.amended_darts.central_difference(plus, minus, step)

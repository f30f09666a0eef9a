"""The one place where derivatives are taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

Loss = Callable[[], Tensor]


class Gradient(Protocol):
    """What an estimator takes as ``gradient``: averaging over ranks or micro-batches goes in there."""

    def __call__(self, scalar: Loss, inputs: Sequence[Tensor]) -> list[Tensor]: ...


def gradient(scalar: Loss, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of ``scalar()`` with respect to ``inputs``; zeros for inputs that it does not use.

    Args:
        scalar: a function of no arguments that returns a tensor with one element.
        inputs: tensors that require grad.

    Raises:
        ValueError: ``scalar()`` is not a tensor with one element.
    """
    with torch.enable_grad():
        value = scalar()
        if not isinstance(value, Tensor) or value.numel() != 1:
            what = f"shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"a loss must return a tensor with one element, got {what}")
        if not value.requires_grad:
            return [torch.zeros_like(t) for t in inputs]
        return list(torch.autograd.grad(value.reshape(()), list(inputs), allow_unused=True, materialize_grads=True))

"""One bilevel problem at its current point: checked arguments, and passes that leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from ._gradient import Gradient, Loss
from ._perturbation import central_difference, global_norm, perturb_, restore_, step_size
from ._precision import full_precision
from ._randomness import ReplayedRandomness


class Problem:
    """The losses, weights and alphas of one estimate.

    Use as a context manager: inside, autocast and TF32 are off and the training loss draws the same random numbers in
    each of its passes; at the end the weights have their first values again, bit for bit.
    """

    def __init__(
        self,
        train_loss: Loss,
        val_loss: Loss,
        weights: Sequence[Tensor],
        alphas: Sequence[Tensor],
        gradient: Gradient,
    ) -> None:
        self.weights, self.alphas = list(weights), list(alphas)
        _check("weights", self.weights)
        _check("alphas", self.alphas)
        shared = {id(t) for t in self.weights} & {id(t) for t in self.alphas}
        if shared:
            raise ValueError("weights and alphas must be different tensors, got one that is in both lists")
        self._train_loss, self._val_loss, self._gradient = train_loss, val_loss, gradient
        self._origin: list[Tensor] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Problem:
        self._stack.enter_context(full_precision())
        self._stack.callback(self._restore)
        self._train_randomness = ReplayedRandomness([*self.weights, *self.alphas])
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def val_gradients(self) -> tuple[list[Tensor], list[Tensor]]:
        """(∂L_val/∂α, ∂L_val/∂w) at the current weights: one pass."""
        gradients = self._gradient(self._val_loss, [*self.alphas, *self.weights])
        count = len(self.alphas)
        return gradients[:count], gradients[count:]

    def val_gradient_of_alphas(self) -> list[Tensor]:
        """∂L_val/∂α: one pass without the weights' gradients."""
        with _frozen(self.weights):
            return self._gradient(self._val_loss, self.alphas)

    def hessian_vector(self, vector: list[Tensor], radius: float, name: str) -> list[Tensor]:
        """H·vector by central differences of ∂L_train/∂w: two passes without the alphas' gradients."""
        return self._difference(vector, radius, self.weights, self.alphas, name)

    def mixed_vector(self, vector: list[Tensor], radius: float, name: str) -> list[Tensor]:
        """A·vector = ∂²_{α,w}L_train·vector by central differences of ∂L_train/∂α: two passes without the weights'."""
        return self._difference(vector, radius, self.alphas, self.weights, name)

    def exact_hessian_vector(self, vector: list[Tensor], name: str = "the vector") -> list[Tensor]:
        """H·vector by double backward."""
        _check_finite(vector, name)
        return self._directional(vector, self.weights)

    def exact_mixed_vector(self, vector: list[Tensor], name: str = "the vector") -> list[Tensor]:
        """A·vector by double backward."""
        _check_finite(vector, name)
        return self._directional(vector, self.alphas)

    def train_gradient_of_weights(self) -> list[Tensor]:
        """∂L_train/∂w at the current weights: one pass without the alphas' gradients."""
        with _frozen(self.alphas):
            return self._train_gradient(self.weights)

    def val_gradients_after(self, step: list[Tensor], lr: float) -> tuple[list[Tensor], list[Tensor]]:
        """(∂L_val/∂α, ∂L_val/∂w) at weights − lr·step: one pass. The weights are back when it returns."""
        perturb_(self.weights, self._saved(), step, step[0].new_full((), lr), -1.0)
        gradients = self.val_gradients()
        self._restore()
        return gradients

    def _train_gradient(self, inputs: list[Tensor]) -> list[Tensor]:
        with self._train_randomness.replay():
            return self._gradient(self._train_loss, inputs)

    def _directional(self, vector: list[Tensor], inputs: list[Tensor]) -> list[Tensor]:
        def slope() -> Tensor:
            with torch.enable_grad():
                first = torch.autograd.grad(
                    self._train_loss(), self.weights, create_graph=True, allow_unused=True, materialize_grads=True
                )
                return sum((g * v).sum() for g, v in zip(first, vector, strict=True))  # type: ignore[return-value]

        with self._train_randomness.replay():
            return self._gradient(slope, inputs)

    def _difference(
        self, vector: list[Tensor], radius: float, inputs: list[Tensor], others: list[Tensor], name: str
    ) -> list[Tensor]:
        """(∇L_train(w + R·vector) − ∇L_train(w − R·vector)) / 2R with R = radius / ‖vector‖₂; zeros for a zero vector.

        R stays on the device. A custom operator cannot see which gradients autograd.grad was asked for, only what
        requires grad: so ``others`` do not, for the two passes.
        """
        step = step_size(vector, radius)
        _check_finite(vector, name)
        origin = self._saved()
        with _frozen(others):
            perturb_(self.weights, origin, vector, step, 1.0)
            plus = self._train_gradient(inputs)
            perturb_(self.weights, origin, vector, step, -1.0)
            minus = self._train_gradient(inputs)
        self._restore()
        return central_difference(plus, minus, step)

    def _saved(self) -> list[Tensor]:
        """The one copy of the weights, made when they first move."""
        if self._origin is None:
            self._origin = [w.detach().clone() for w in self.weights]
        return self._origin

    def _restore(self) -> None:
        if self._origin is not None:
            restore_(self.weights, self._origin)


def _check(name: str, tensors: list[Tensor]) -> None:
    if not tensors:
        raise ValueError(f"{name} must hold at least one tensor, got an empty list")
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor) or not t.is_leaf or not t.requires_grad:
            raise ValueError(f"{name}[{i}] must be a leaf tensor that requires grad")
        if t.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"{name}[{i}] must be float32 or float64, where a small perturbation survives rounding, got {t.dtype}"
            )


def _check_finite(vector: list[Tensor], name: str) -> None:
    """Raises on the CPU; on another device, where reading would stall it, NaN goes on into the result."""
    if vector[0].device.type == "cpu" and not torch.isfinite(global_norm(vector)):
        raise FloatingPointError(f"{name} is not finite: the loss it comes from has diverged at these weights")


@contextmanager
def _frozen(tensors: list[Tensor]) -> Iterator[None]:
    try:
        for t in tensors:
            t.requires_grad_(False)
        yield
    finally:
        for t in tensors:
            t.requires_grad_(True)

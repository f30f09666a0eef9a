"""Products with H and A of one problem, taken in one of two ways."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ._problem import Problem
from ._vectors import combination

VAL_GRADIENT = "the validation loss's gradient of the weights"
HESSIAN_PRODUCT = "the training loss's Hessian-vector product"


@dataclass(frozen=True)
class Products:
    """(H + shift·I)·vector and A·vector.

    Attributes:
        problem: inside its context.
        hvp: "finite" (two passes a product) or "exact" (one, with double backward).
        radius: of the differences, ‖change of the weights‖₂; not used by "exact".
        shift: damping + weight decay.
    """

    problem: Problem
    hvp: str
    radius: float
    shift: float = 0.0

    def hessian(self, vector: list[Tensor], name: str) -> list[Tensor]:
        """(H + shift·I)·vector; ``name`` says in errors what the vector is."""
        if self.hvp == "exact":
            product = self.problem.exact_hessian_vector(vector, name)
        else:
            product = self.problem.hessian_vector(vector, self.radius, name)
        return combination(1.0, product, self.shift, vector) if self.shift else product

    def mixed(self, vector: list[Tensor], name: str) -> list[Tensor]:
        """A·vector; ``name`` says in errors what the vector is."""
        if self.hvp == "exact":
            return self.problem.exact_mixed_vector(vector, name)
        return self.problem.mixed_vector(vector, self.radius, name)

"""The estimators of the α gradient that a search can use, by name; their code is in ``amended_darts.hypergradient``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ESTIMATORS: dict[str, tuple[str, ...]] = {
    "amended": ("eta", "rho", "radius"),
    "first_order": (),
}
"""Name of the estimator and the settings of SearchConfig that it takes."""


def find_estimator(name: str) -> Callable[..., list[Tensor]]:
    """The function of that name (one of ``ESTIMATORS``)."""
    from amended_darts import hypergradient

    found: Callable[..., list[Tensor]] = getattr(hypergradient, name)
    return found

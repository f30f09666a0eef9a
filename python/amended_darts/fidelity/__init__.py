"""How true is each estimator? All of them against the exact hypergradient, where that can be known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amended_darts.fidelity.config import FidelityConfig
from amended_darts.fidelity.table import describe

if TYPE_CHECKING:
    from amended_darts.fidelity.study import run_study

__all__ = ["FidelityConfig", "describe", "run_study"]


def __getattr__(name: str) -> Any:
    """``run_study`` on first use, so that the command line's help need not wait for torch."""
    if name != "run_study":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from amended_darts.fidelity.study import run_study

    return run_study

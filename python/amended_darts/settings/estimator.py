"""The gradient of α: which estimator, and its settings. None stands for its own default."""

from __future__ import annotations

from dataclasses import dataclass

from amended_darts.estimators import ESTIMATORS, takers
from amended_darts.options import at_least, not_negative, option, positive


def _for(name: str) -> str:
    """Which estimators take an option, for its help."""
    some = takers(name)
    with_second = [entry for entry, takes in ESTIMATORS.items() if takes.defaults]
    return "with a second term: " if list(some) == with_second else f"{', '.join(some)}: "


@dataclass(frozen=True)
class EstimatorOptions:
    """The gradient of α: which estimator, and its settings. None stands for its own default."""

    estimator: str = option(
        "amended", "gradient of α: " + ", ".join(ESTIMATORS), group="estimator", choices=tuple(ESTIMATORS)
    )
    rho: float | None = option(
        None,
        _for("rho") + "its norm as a multiple of the norm of the first term",
        "ratio",
        "estimator",
        check=not_negative("a ratio, 0 or more"),
        unset="2 for amended without --eta; else the term keeps its own size",
    )
    eta: float | None = option(
        None,
        _for("eta") + "factor of the second term as published (arXiv 1910.11831), in place of --rho",
        "1 / curvature²",
        "estimator",
        check=not_negative("a factor, 0 or more"),
    )
    cap: float | None = option(
        None,
        _for("cap") + "its norm is shortened to at most this multiple of the norm of the first term",
        "ratio",
        "estimator",
        check=not_negative("a ratio, 0 or more"),
        unset="no limit",
    )
    radius: float | None = option(
        None,
        _for("radius") + "size of the finite differences, ‖change of w‖ in a pass",
        "L2 norm",
        "estimator",
        check=positive("a positive norm"),
        unset="0.01",
    )
    hvp: str | None = option(
        None,
        _for("hvp") + "products with second derivatives by finite differences (finite) or by double backward (exact, "
        "which needs --implementation reference)",
        group="estimator",
        choices=("finite", "exact"),
        unset="finite",
    )
    terms: int | None = option(
        None,
        _for("terms") + "highest power of the series",
        "terms",
        "estimator",
        check=not_negative("a number of terms, 0 or more"),
        unset="2",
    )
    inverse_lr: float | None = option(
        None,
        _for("inverse_lr") + "step of the series, below 2 / (largest eigenvalue of the Hessian)",
        "1 / curvature",
        "estimator",
        check=positive("a positive step"),
        unset="the learning rate of w at the moment",
    )
    iterations: int | None = option(
        None,
        _for("iterations") + "iterations, of two passes each",
        "iterations",
        "estimator",
        check=at_least(1, "iteration"),
        unset="3",
    )
    damping: float | None = option(
        None,
        _for("damping") + "added to the diagonal of the Hessian, besides --weight-decay",
        "curvature",
        "estimator",
        check=not_negative("0 or more"),
        unset="0",
    )

"""Settings that several estimators share, checked in one wording."""

from __future__ import annotations

import math


def check_positive(**settings: float) -> None:
    """Raises ValueError unless each is finite and above zero."""
    for name, value in settings.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive, got {value}")


def check_not_negative(**settings: float) -> None:
    """Raises ValueError unless each is finite and not below zero."""
    for name, value in settings.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be finite and not negative, got {value}")


def check_count(minimum: int, **settings: int) -> None:
    """Raises ValueError unless each is a whole number of at least ``minimum``."""
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise ValueError(f"{name} must be a whole number of at least {minimum}, got {value!r}")


def check_products(hvp: str, radius: float) -> None:
    """Raises ValueError for an unknown kind of product or a radius that is not positive."""
    check_positive(radius=radius)
    if hvp not in ("finite", "exact"):
        raise ValueError(f"hvp must be 'finite' or 'exact', got {hvp!r}")

"""How the second term of a hypergradient is sized against the first, and what is reported of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ._perturbation import global_norm
from ._settings import check_not_negative
from ._vectors import dot, quotient


def check_size(eta: float | None, rho: float | None, cap: float | None = None) -> None:
    """Raises ValueError unless exactly one of eta and rho is given, each of them finite and none negative."""
    if (eta is None) == (rho is None):
        raise ValueError(f"give either eta (absolute) or rho (relative), got eta={eta} and rho={rho}")
    given = {"eta": eta, "rho": rho, "cap": cap}
    check_not_negative(**{name: value for name, value in given.items() if value is not None})


def check_scale(rho: float | None, cap: float | None) -> None:
    """For estimators whose second term has a size of its own: rho, which replaces it, and cap, which bounds it."""
    check_size(None if rho is not None else 1.0, rho, cap)


def combine(
    first: Sequence[Tensor],
    direction: Sequence[Tensor],
    *,
    eta: float | None = None,
    rho: float | None = None,
    cap: float | None = None,
    report: dict[str, Any] | None = None,
) -> list[Tensor]:
    """first − s · direction, with s = eta, or s = rho · ‖first‖ / ‖direction‖, then s · ‖direction‖ ≤ cap · ‖first‖.

    A direction of zeros adds nothing. Nothing is read back from the device. ``report``, if given, gets 0-d tensors:
    ``first_norm``, ``second_norm`` (of s · direction), their ``ratio``, ``direction_norm``, and the ``cosine`` between
    first and −direction (0 where one of them is zero).
    """
    with torch.no_grad():
        first_norm, size = global_norm(first), global_norm(direction)
        inverse = torch.where(size > 0, 1 / size, torch.zeros_like(size))
        scale = torch.full_like(size, eta or 0.0) if rho is None else rho * first_norm.to(size) * inverse
        if cap is not None:
            scale = torch.minimum(scale, cap * first_norm.to(size) * inverse)
            scale = torch.where(size > 0, scale, torch.zeros_like(scale))
        if report is not None:
            second_norm = scale * size
            norms = first_norm.double() * size.double()
            report.update(first_norm=first_norm, second_norm=second_norm, direction_norm=size)
            report["ratio"] = quotient(second_norm, first_norm.to(size))
            report["cosine"] = -quotient(dot(first, direction).to(size.device), norms)
        return [a - scale.to(a) * b for a, b in zip(first, direction, strict=True)]


def report_first_order(first: Sequence[Tensor], report: dict[str, Any] | None) -> None:
    """What :func:`combine` reports where there is no second term."""
    if report is not None:
        norm = global_norm(first)
        zero = torch.zeros_like(norm)
        report.update(first_norm=norm, second_norm=zero, direction_norm=zero, ratio=zero, cosine=zero)

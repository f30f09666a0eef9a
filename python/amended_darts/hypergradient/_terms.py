"""How the second term of a hypergradient is sized against the first, and what is reported of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ._perturbation import global_norm


def check_size(eta: float | None, rho: float | None, cap: float | None = None) -> None:
    """Raises ValueError unless exactly one of eta and rho is given, each of them finite and none negative."""
    if (eta is None) == (rho is None):
        raise ValueError(f"give either eta (absolute) or rho (relative), got eta={eta} and rho={rho}")
    for name, value in (("eta", eta), ("rho", rho), ("cap", cap)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be finite and not negative, got {value}")


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
    ``first_norm``, ``second_norm`` (of s · direction), their ``ratio``, and the ``cosine`` between first and
    −s · direction (0 where one of them is zero).
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
            product = sum((a.double() * b.double()).sum() for a, b in zip(first, direction, strict=True))
            norms = first_norm.double() * size.double()
            report["first_norm"], report["second_norm"] = first_norm, second_norm
            report["ratio"] = _quotient(second_norm, first_norm)
            report["cosine"] = -_quotient(product, norms)
        return [a - scale.to(a) * b for a, b in zip(first, direction, strict=True)]


def _quotient(a: Any, b: Tensor) -> Tensor:
    return torch.where(b > 0, a / b, torch.zeros_like(b))


def report_first_order(first: Sequence[Tensor], report: dict[str, Any] | None) -> None:
    """What :func:`combine` reports where there is no second term."""
    if report is not None:
        norm = global_norm(first)
        zero = torch.zeros_like(norm)
        report.update(first_norm=norm, second_norm=zero, ratio=zero, cosine=zero)

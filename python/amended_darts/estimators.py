"""The estimators of the α gradient that a search can use, by name; their code is in ``amended_darts.hypergradient``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from amended_darts.config import SearchConfig


@dataclass(frozen=True)
class Estimator:
    """How a search calls one estimator.

    Attributes:
        defaults: the options it takes, each with its value where nothing is said (None: left to the estimator).
        follows: keyword arguments that are those of SGD on w at the moment of the step.
    """

    defaults: dict[str, Any] = field(default_factory=dict)
    follows: tuple[str, ...] = ()


_COMMON: dict[str, Any] = {"rho": None, "cap": None, "radius": 0.01, "hvp": "finite"}

ESTIMATORS: dict[str, Estimator] = {
    "amended": Estimator({"eta": None, **_COMMON}),
    "first_order": Estimator(),
    "unrolled": Estimator(_COMMON, ("lr", "momentum", "momentum_buffers", "weight_decay")),
    "neumann": Estimator({"terms": 2, "inverse_lr": None, "damping": 0.0, **_COMMON}, ("weight_decay",)),
    "conjugate_gradient": Estimator({"iterations": 3, "damping": 0.0, **_COMMON}, ("weight_decay",)),
    "two_moment": Estimator({"damping": 0.0, **_COMMON}, ("weight_decay",)),
}

OPTIONS: tuple[str, ...] = tuple(dict.fromkeys(name for entry in ESTIMATORS.values() for name in entry.defaults))
"""Every option that belongs to some estimators and not to others."""

_KEYWORDS = {"inverse_lr": "lr"}  # of the estimator, where the option needs a name of its own


def takers(option: str) -> tuple[str, ...]:
    """The estimators that take an option."""
    return tuple(name for name, entry in ESTIMATORS.items() if option in entry.defaults)


def find_estimator(name: str) -> Callable[..., list[Tensor]]:
    """The function of that name (one of ``ESTIMATORS``)."""
    from amended_darts import hypergradient

    found: Callable[..., list[Tensor]] = getattr(hypergradient, name)
    return found


def call_settings(
    config: SearchConfig, optimizer: torch.optim.Optimizer, learning_rate: float | None = None
) -> dict[str, Any]:
    """The keyword arguments of the estimator at this moment.

    Args:
        config: resolved.
        optimizer: SGD on w, whose learning rate, momentum and weight decay some estimators follow.
        learning_rate: its learning rate; by default the optimiser's, which may have it on a device.
    """
    (group,) = optimizer.param_groups
    now = {name: group[name] for name in ("lr", "momentum", "weight_decay")}
    if learning_rate is not None:
        now["lr"] = learning_rate
    settings = {_KEYWORDS.get(name, name): value for name, value in config.estimator_settings().items()}
    for name in ESTIMATORS[config.estimator].follows:
        settings[name] = now[name] if name in now else _momentum_buffers(optimizer)
    if config.estimator == "neumann":
        settings.setdefault("lr", now["lr"])
    return settings


def _momentum_buffers(optimizer: torch.optim.Optimizer) -> list[Tensor | None]:
    (group,) = optimizer.param_groups
    return [optimizer.state[parameter].get("momentum_buffer") for parameter in group["params"]]

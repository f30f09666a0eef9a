"""Settings of a search: one dataclass, from which the command line, its help and ``config.json`` follow.

Defaults are those of DARTS (arXiv 1806.09055, section 3) unless the help says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from amended_darts.errors import InputError
from amended_darts.estimators import ESTIMATORS

IMPLEMENTATIONS = ("fused", "reference")


def option(default: Any, help: str, unit: str = "", group: str = "search") -> Any:
    """A dataclass field whose help, unit and group the command line shows."""
    return field(default=default, metadata={"help": help, "unit": unit, "group": group})


@dataclass(frozen=True)
class SearchConfig:
    """Everything that a search depends on. ``option`` texts document the fields; units stand in brackets in the help.

    Raises:
        InputError: on ``resolved()``: a value out of range, or settings that contradict each other.
    """

    data: str = option("digits", "data set: digits, cifar10, cifar100 or imagefolder", group="data")
    root: str | None = option(
        None, "folder of the data set; digits comes with scikit-learn and needs none", group="data"
    )
    image_size: int = option(32, "imagefolder: images are scaled and cropped to this square", "pixels", "data")
    train_portion: float = option(
        0.5, "share of the training images that the network weights learn from; α learns from the rest", "0..1", "data"
    )
    batch_size: int = option(64, "images per step, for w and for α alike", "images", "data")
    workers: int = option(
        0, "imagefolder: processes that decode images; 0 decodes in the search itself", "processes", "data"
    )

    space: str = option("darts", "search space (amended-darts info lists them)", group="space")
    cells: int | None = option(None, "depth of the super-network; the space's own by default", "cells", "space")
    channels: int | None = option(None, "width of the first cell; the space's own by default", "channels", "space")

    epochs: int = option(50, "passes over the images that w learns from", "epochs", "weights")
    lr: float = option(0.025, "learning rate of w at the start; cosine from there to --lr-min", "", "weights")
    lr_min: float = option(0.001, "learning rate of w at the end", "", "weights")
    momentum: float = option(0.9, "momentum of SGD on w", "", "weights")
    weight_decay: float = option(3e-4, "weight decay (L2) of w", "", "weights")
    clip: float = option(
        5.0, "largest norm of the gradient of w; longer ones are shortened to it", "L2 norm", "weights"
    )

    estimator: str = option("amended", "gradient of α: " + " or ".join(ESTIMATORS), group="alpha")
    rho: float | None = option(
        None,
        "norm of the second term of the α gradient as a multiple of the norm of the first; 1 where neither --rho nor "
        "--eta is given and the estimator has a second term",
        "ratio",
        "alpha",
    )
    eta: float | None = option(
        None, "factor of the second term as published (arXiv 1910.11831), in place of --rho", "1 / curvature²", "alpha"
    )
    radius: float = option(0.01, "size of the finite differences: ‖change of w‖ in a pass", "L2 norm", "alpha")
    alpha_lr: float = option(3e-4, "learning rate of Adam on α", "", "alpha")
    alpha_weight_decay: float = option(1e-3, "weight decay (L2) of α", "", "alpha")
    alpha_beta1: float = option(0.5, "Adam's decay rate of the mean gradient of α", "", "alpha")
    alpha_beta2: float = option(0.999, "Adam's decay rate of the mean squared gradient of α", "", "alpha")
    alpha_start_epoch: int = option(0, "epochs at the start in which w alone learns and α stays", "epochs", "alpha")

    out: str = option("runs/search", "folder for everything the search writes", group="run")
    seed: int = option(0, "seed of the data halves, their order, the augmentation and all initial values", "", "run")
    device: str = option(
        "auto", "where to compute: auto (cuda where there is a GPU), cpu, cuda, cuda:1, ...", group="run"
    )
    implementation: str = option(
        "fused", "mixed operations: fused (compiled) or reference (plain PyTorch, for comparison)", group="run"
    )
    recompute: bool = option(
        True, "compute branch outputs again in the backward pass (less memory) instead of keeping them", group="run"
    )
    checkpoint_every: int = option(
        0, "save a checkpoint every so many steps, besides the one after each epoch; 0 for none", "steps", "run"
    )
    resume: bool = option(
        False, "continue from the checkpoint in --out; starts at the beginning where there is none", group="run"
    )
    overwrite: bool = option(False, "start anew in an --out that already holds a search", group="run")

    def resolved(self) -> SearchConfig:
        """The checked configuration with every default that depends on other settings filled in."""
        from amended_darts.spaces import find_space

        self._check_types()
        for name, choices in (("estimator", tuple(ESTIMATORS)), ("implementation", IMPLEMENTATIONS)):
            if getattr(self, name) not in choices:
                raise InputError(f"{flag(name)}: expected one of {', '.join(choices)}, got '{getattr(self, name)}'")
        for name, good, expected in _RANGES:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and good(value)):
                raise InputError(f"{flag(name)}: expected {expected}, got {value}")
        space = find_space(self.space)
        settings = ESTIMATORS[self.estimator]
        for name in ("eta", "rho"):
            if getattr(self, name) is not None and name not in settings:
                raise InputError(f"{flag(name)}: the estimator {self.estimator} has no second term to scale")
        if self.eta is not None and self.rho is not None:
            raise InputError(f"--eta, --rho: expected one of the two, got both ({self.eta} and {self.rho})")
        if self.resume and self.overwrite:
            raise InputError("--resume, --overwrite: expected one of the two, got both")
        scaled = "rho" not in settings or self.eta is not None
        return replace(
            self,
            cells=space.cells if self.cells is None else self.cells,
            channels=space.channels if self.channels is None else self.channels,
            rho=self.rho if scaled or self.rho is not None else 1.0,
        )

    def estimator_settings(self) -> dict[str, float]:
        """The keyword arguments that the estimator is called with."""
        return {name: value for name in ESTIMATORS[self.estimator] if (value := getattr(self, name)) is not None}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written to ``config.json``."""
        return asdict(self)

    def _check_types(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            kinds = field_types(entry.type)
            right = type(value) in kinds or (type(value) is int and float in kinds)
            if not right:
                wanted = " or ".join("nothing" if kind is type(None) else kind.__name__ for kind in kinds)
                raise InputError(f"{flag(entry.name)}: expected {wanted}, got {value!r}")


def field_types(annotation: Any) -> tuple[type, ...]:
    """The types in an annotation such as ``float | None``, which is text here (postponed evaluation)."""
    known: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool, "None": type(None)}
    return tuple(known[name.strip()] for name in str(annotation).split("|"))


def flag(name: str) -> str:
    """The command line's name of a field."""
    return "--" + name.replace("_", "-")


# Settings that say where and how a search is computed, not what it computes: a resumed search may change them.
FREE_ON_RESUME = frozenset(
    {"root", "out", "workers", "device", "implementation", "recompute", "checkpoint_every", "resume", "overwrite"}
)

_RANGES: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    ("image_size", lambda v: v >= 1, "at least 1 pixel"),
    ("train_portion", lambda v: 0 < v < 1, "a share strictly between 0 and 1"),
    ("batch_size", lambda v: v >= 2, "at least 2 images (batch normalisation needs two)"),
    ("workers", lambda v: v >= 0, "a number of processes, 0 or more"),
    ("cells", lambda v: v >= 1, "at least 1 cell"),
    ("channels", lambda v: v >= 1, "at least 1 channel"),
    ("epochs", lambda v: v >= 1, "at least 1 epoch"),
    ("lr", lambda v: v > 0, "a positive learning rate"),
    ("lr_min", lambda v: v >= 0, "a learning rate, 0 or more"),
    ("momentum", lambda v: 0 <= v < 1, "a number from 0 to below 1"),
    ("weight_decay", lambda v: v >= 0, "0 or more"),
    ("clip", lambda v: v > 0, "a positive norm"),
    ("rho", lambda v: v >= 0, "a ratio, 0 or more"),
    ("eta", lambda v: v >= 0, "a factor, 0 or more"),
    ("radius", lambda v: v > 0, "a positive norm"),
    ("alpha_lr", lambda v: v > 0, "a positive learning rate"),
    ("alpha_weight_decay", lambda v: v >= 0, "0 or more"),
    ("alpha_beta1", lambda v: 0 <= v < 1, "a number from 0 to below 1"),
    ("alpha_beta2", lambda v: 0 <= v < 1, "a number from 0 to below 1"),
    ("alpha_start_epoch", lambda v: v >= 0, "a number of epochs, 0 or more"),
    ("seed", lambda v: 0 <= v < 2**63, "an integer from 0 to below 2^63"),
    ("checkpoint_every", lambda v: v >= 0, "a number of steps, 0 or more"),
)

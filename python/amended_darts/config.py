"""Settings of a search: one dataclass, from which the command line, its help and ``config.json`` follow.

Defaults are those of DARTS (arXiv 1806.09055, section 3) unless the help says otherwise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from amended_darts.errors import InputError
from amended_darts.estimators import ESTIMATORS, OPTIONS, takers
from amended_darts.options import at_least, check_options, flag, not_negative, option, positive, rate
from amended_darts.presets import preset_values

IMPLEMENTATIONS = ("fused", "reference")


def _for(name: str) -> str:
    """Which estimators take an option, for its help."""
    some = takers(name)
    with_second = [entry for entry, takes in ESTIMATORS.items() if takes.defaults]
    return "with a second term: " if list(some) == with_second else f"{', '.join(some)}: "


@dataclass(frozen=True)
class SearchConfig:
    """Everything that a search depends on. ``option`` texts document the fields; units stand in brackets in the help.

    Raises:
        InputError: on ``resolved()``: a value out of range, or settings that contradict each other.
    """

    data: str = option("digits", "data set: digits, cifar10, cifar100 or imagefolder", group="data")
    root: str | None = option(
        None,
        "folder of the data set; digits comes with scikit-learn and needs none",
        group="data",
        metavar="FOLDER",
        free=True,
    )
    image_size: int = option(
        32, "imagefolder: images are scaled and cropped to this square", "pixels", "data", check=at_least(1, "pixel")
    )
    train_portion: float = option(
        0.5,
        "share of the training images that the network weights learn from; α learns from the rest",
        "0..1",
        "data",
        check=(lambda value: 0 < value < 1, "a share strictly between 0 and 1"),
    )
    batch_size: int = option(
        64,
        "images per step, for w and for α alike",
        "images",
        "data",
        check=at_least(2, "images (batch normalisation needs two)"),
    )
    workers: int = option(
        0,
        "imagefolder: processes that decode images; 0 decodes in the search itself",
        "processes",
        "data",
        check=not_negative("a number of processes, 0 or more"),
        free=True,
    )

    space: str = option("darts", "search space (amended-darts info lists them)", group="space")
    cells: int | None = option(
        None, "depth of the super-network", "cells", "space", check=at_least(1, "cell"), unset="the space's own"
    )
    channels: int | None = option(
        None, "width of the first cell", "channels", "space", check=at_least(1, "channel"), unset="the space's own"
    )

    epochs: int = option(
        50, "passes over the images that w learns from", "epochs", "weights", check=at_least(1, "epoch")
    )
    lr: float = option(
        0.025,
        "learning rate of w at the start; cosine from there to --lr-min",
        "",
        "weights",
        check=positive("a positive learning rate"),
    )
    lr_min: float = option(
        0.001, "learning rate of w at the end", "", "weights", check=not_negative("a learning rate, 0 or more")
    )
    momentum: float = option(0.9, "momentum of SGD on w", "", "weights", check=rate())
    weight_decay: float = option(3e-4, "weight decay (L2) of w", "", "weights", check=not_negative("0 or more"))
    clip: float = option(
        5.0,
        "largest norm of the gradient of w; longer ones are shortened to it",
        "L2 norm",
        "weights",
        check=positive("a positive norm"),
    )

    alpha_lr: float = option(
        3e-4, "learning rate of Adam on α", "", "alpha", check=positive("a positive learning rate")
    )
    alpha_weight_decay: float = option(1e-3, "weight decay (L2) of α", "", "alpha", check=not_negative("0 or more"))
    alpha_beta1: float = option(0.5, "Adam's decay rate of the mean gradient of α", "", "alpha", check=rate())
    alpha_beta2: float = option(0.999, "Adam's decay rate of the mean squared gradient of α", "", "alpha", check=rate())
    alpha_start_epoch: int = option(
        0,
        "epochs at the start in which w alone learns and α stays",
        "epochs",
        "alpha",
        check=not_negative("a number of epochs, 0 or more"),
    )

    estimator: str = option(
        "amended", "gradient of α: " + ", ".join(ESTIMATORS), group="estimator", choices=tuple(ESTIMATORS)
    )
    rho: float | None = option(
        None,
        _for("rho") + "its norm as a multiple of the norm of the first term",
        "ratio",
        "estimator",
        check=not_negative("a ratio, 0 or more"),
        unset="1 for amended without --eta; else the term keeps its own size",
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

    implementation: str = option(
        "fused",
        "mixed operations: fused (compiled) or reference (plain PyTorch, for comparison)",
        group="speed",
        choices=IMPLEMENTATIONS,
        free=True,
    )
    recompute: bool = option(
        True,
        "compute branch outputs again in the backward pass (less memory) instead of keeping them",
        group="speed",
        free=True,
    )

    out: str = option(
        "runs/search", "folder for everything the search writes", group="run", metavar="FOLDER", free=True
    )
    seed: int = option(
        0,
        "seed of the data halves, their order, the augmentation and all initial values",
        "",
        "run",
        check=(lambda value: 0 <= value < 2**63, "an integer from 0 to below 2^63"),
    )
    device: str = option(
        "auto",
        "where to compute: auto (cuda where there is a GPU), cpu, cuda, cuda:1, ...",
        group="run",
        metavar="DEVICE",
        free=True,
    )
    checkpoint_every: int = option(
        0,
        "save a checkpoint every so many steps, besides the one after each epoch; 0 for none",
        "steps",
        "run",
        check=not_negative("a number of steps, 0 or more"),
        free=True,
    )
    resume: bool = option(
        False,
        "continue from the checkpoint in --out; starts at the beginning where there is none",
        group="run",
        free=True,
    )
    overwrite: bool = option(False, "start anew in an --out that already holds a search", group="run", free=True)

    @classmethod
    def from_preset(cls, preset: str, **changes: Any) -> SearchConfig:
        """The settings of a preset (``amended_darts.presets.PRESETS``) with some of them changed.

        Raises:
            InputError: no such preset.
        """
        return cls(**preset_values(preset, changes))

    def resolved(self) -> SearchConfig:
        """The checked configuration with every default that depends on other settings filled in."""
        from amended_darts.spaces import find_space

        check_options(self)
        space = find_space(self.space)
        if self.eta is not None and self.rho is not None:
            raise InputError(f"--eta, --rho: expected one of the two, got both ({self.eta} and {self.rho})")
        if self.resume and self.overwrite:
            raise InputError("--resume, --overwrite: expected one of the two, got both")
        if self.hvp == "exact" and self.implementation != "reference":
            raise InputError(
                "--hvp: exact products need second derivatives, expected --implementation reference, "
                f"got {self.implementation}"
            )
        return replace(
            self,
            cells=space.cells if self.cells is None else self.cells,
            channels=space.channels if self.channels is None else self.channels,
            **self._resolved_estimator(),
        )

    def _resolved_estimator(self) -> dict[str, Any]:
        """The settings of the chosen estimator, defaults filled in.

        Raises:
            InputError: a setting that it does not take.
        """
        defaults = ESTIMATORS[self.estimator].defaults
        for name in OPTIONS:
            if getattr(self, name) is not None and name not in defaults:
                why = "has no second term" if not defaults else f"takes {', '.join(map(flag, defaults))}"
                raise InputError(
                    f"{flag(name)}: expected --estimator {' or '.join(takers(name))}, got {self.estimator}, which {why}"
                )
        values = {
            name: default if getattr(self, name) is None else getattr(self, name) for name, default in defaults.items()
        }
        if "eta" in values and values["eta"] is None and values["rho"] is None:
            values["rho"] = 1.0
        return values

    def estimator_settings(self) -> dict[str, Any]:
        """The options that belong to the estimator and have a value."""
        return {
            name: value for name in ESTIMATORS[self.estimator].defaults if (value := getattr(self, name)) is not None
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written to ``config.json``."""
        return asdict(self)


FREE_ON_RESUME = frozenset(entry.name for entry in fields(SearchConfig) if entry.metadata["free"])
"""Settings that say where and how a search is computed, not what it computes: a resumed search may change them."""

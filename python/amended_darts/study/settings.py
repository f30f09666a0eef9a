"""What the study searches: settings (a space at a size, a data set, a schedule) and rows (what is varied)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Changes = dict[str, Any]  # fields of SearchConfig


@dataclass(frozen=True)
class Row:
    """One way to search, repeated with several seeds.

    Attributes:
        changes: to the setting's configuration.
        seeds: how many at most; None for as many as the study is asked for.
        none: with the operator none, where the space has it; all rows but a few go without.
        fixed: α stays as it was drawn, so that what is found is an architecture drawn at random.
        judged: what it finds is trained from scratch.
    """

    changes: Changes
    seeds: int | None = None
    none: bool = False
    fixed: bool = False
    judged: bool = True


@dataclass(frozen=True)
class Setting:
    """One space at one size on one data set.

    Attributes:
        about: for tables and the help.
        search: the configuration that all rows share.
        rows: by name, in the order in which they are run.
        samples_every: epochs from one measurement of sampled sub-networks to the next; the last epoch is measured too.
        retrain: the configuration of the trainings from scratch that judge what was found.
    """

    about: str
    search: Changes
    rows: dict[str, Row] = field(default_factory=dict)
    samples_every: int = 10
    retrain: Changes = field(default_factory=dict)


_PILOT: Changes = {"alpha_lr": 0.01, "alpha_every": 1, "alpha_weight_decay": 1e-3, "batch_size": 64, "compare": False}


def _amended(**changes: Any) -> Changes:
    return {"estimator": "amended", **changes}


def _every(steps: int) -> Changes:
    """α moves once in so many steps, on the images of all of them; its learning rate fits the lesser noise."""
    return {"alpha_every": steps, "alpha_lr": _PILOT["alpha_lr"] * steps**0.5}


_FIRST: Changes = {"estimator": "first_order"}
_RANDOM = Row(_FIRST, fixed=True)

_FEWER: Changes = {**_amended(rho=2.0), **_every(4)}

MAIN: dict[str, Row] = {
    "random": _RANDOM,
    "first_order": Row(_FIRST),
    "first_order every=4": Row({**_FIRST, **_every(4)}),
    "unrolled": Row({"estimator": "unrolled"}),
    "amended rho=0.5": Row(_amended(rho=0.5), seeds=2),
    "amended rho=1": Row(_amended(rho=1.0)),
    "amended rho=2": Row(_amended(rho=2.0)),
    "amended rho=4": Row(_amended(rho=4.0)),
    "amended rho=1 every=4": Row({**_amended(rho=1.0), **_every(4)}, seeds=1),
    "amended rho=1 every=16": Row({**_amended(rho=1.0), **_every(16)}, seeds=1),
    "amended rho=2 every=4": Row(_FEWER),
    "amended rho=16 every=4": Row({**_amended(rho=16.0), **_every(4)}),
    "amended eta=0.001": Row(_amended(eta=0.001), seeds=1),
    "amended eta=0.01": Row(_amended(eta=0.01), seeds=2),
    "amended eta=0.1": Row(_amended(eta=0.1), seeds=1),
    "two_moment": Row({"estimator": "two_moment", "cap": 1.0}, seeds=1),
}
"""The estimators, the size of the amended term, and how many images a step of α sees."""


def _sensitivity(search: Changes) -> dict[str, Row]:
    """What results should not hang on: settings of the search itself, and how many images it has (in as many steps)."""
    epochs, fraction = search["epochs"], search["fraction"]
    rows: dict[str, Row] = {}
    for name in ("first_order", "amended rho=2", "amended rho=2 every=4"):
        base = MAIN[name].changes
        alpha_lr = {**search, **base}["alpha_lr"]
        changed: dict[str, tuple[Changes, bool]] = {
            "alpha_lr/3": ({"alpha_lr": alpha_lr / 3}, False),
            "alpha_lr*3": ({"alpha_lr": alpha_lr * 3}, False),
            "epochs/2": ({"epochs": epochs // 2}, False),
            "with none": ({}, True),
            "images*4": ({"fraction": 4 * fraction, "epochs": epochs // 4}, False),
        }
        for what, (changes, none) in changed.items():
            rows[f"{name}, {what}"] = Row({**base, **changes}, seeds=2, none=none, judged=what == "images*4")
    return rows


_REDUCED: Changes = {**_PILOT, "image_size": 16, "fraction": 0.064, "heldout_fraction": 0.1}
_NASBENCH201: Changes = {**_REDUCED, "space": "nasbench201", "cells": 3, "channels": 8, "epochs": 80}

_PLAIN: Changes = {"epochs": 10, "batch_size": 64, "drop_path": 0.0, "auxiliary": 0.0, "cutout": 0}
_JUDGE: Changes = {**_PLAIN, "image_size": 16, "fraction": 0.2, "heldout_fraction": 0.5}

SETTINGS: dict[str, Setting] = {
    "digits": Setting(
        "NAS-Bench-201's space, 3 cells x 4 channels, scikit-learn's digits (8x8)",
        {**_PILOT, "data": "digits", "space": "nasbench201", "cells": 3, "channels": 4, "epochs": 40},
        {
            "random": _RANDOM,
            "first_order": Row(_FIRST),
            "amended rho=1": Row(_amended(rho=1.0)),
            "amended rho=2": Row(_amended(rho=2.0)),
            "amended rho=2 every=4": Row(_FEWER),
            "unrolled": Row({"estimator": "unrolled"}),
        },
        retrain=_PLAIN,
    ),
    "nasbench201": Setting(
        "NAS-Bench-201's space, 3 cells x 8 channels, CIFAR-10 at 16x16, 1,600 images for w and 1,600 for alpha",
        _NASBENCH201,
        {**MAIN, **_sensitivity(_NASBENCH201)},
        retrain=_JUDGE,
    ),
    "robust-s2": Setting(
        "RobustDARTS S2 {skip_connect, sep_conv_3x3}, 5 cells x 8 channels, CIFAR-10 at 16x16, 1,000 images for w and "
        "1,000 for alpha",
        {**_REDUCED, "space": "robust-s2", "cells": 5, "channels": 8, "epochs": 60, "fraction": 0.04},
        {
            "random": _RANDOM,
            "first_order": Row(_FIRST),
            "amended rho=2 every=4": Row(_FEWER),
        },
        samples_every=20,
        retrain=_JUDGE,
    ),
}
"""By the name that ``--setting`` takes."""

"""Settings under one name: ``--preset NAME`` gives the defaults, everything else said overrides them."""

from __future__ import annotations

from typing import Any

from amended_darts.errors import InputError
from amended_darts.estimators import ESTIMATORS, OPTIONS

_DARTS: dict[str, Any] = {"data": "cifar10", "space": "darts8", "epochs": 50, "batch_size": 64}

PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "paper-s1": (
        "the amended gradient (arXiv 1910.11831) on the DARTS space without none, η = 0.1 as in public code, "
        "consistent with re-training, CIFAR-10",
        {**_DARTS, "space": "darts", "estimator": "amended", "eta": 0.1, "consistent": True},
    ),
    "paper-s2": (
        "the same on 20 cells that each have their own α, of skip_connect and sep_conv_3x3",
        {**_DARTS, "space": "s2", "estimator": "amended", "eta": 0.1, "consistent": True},
    ),
    "darts-1st": ("DARTS, first order (arXiv 1806.09055), CIFAR-10", {**_DARTS, "estimator": "first_order"}),
    "darts-2nd": ("DARTS, second order: one unrolled step, CIFAR-10", {**_DARTS, "estimator": "unrolled"}),
    "quick": (
        "a look at everything in seconds: 3 cells of 4 channels on digits, 3 epochs",
        {"data": "digits", "space": "darts", "cells": 3, "channels": 4, "epochs": 3, "alpha_lr": 0.01},
    ),
}
"""Name → what it is, and its settings."""


def preset_values(name: str, said: dict[str, Any]) -> dict[str, Any]:
    """The preset's settings under ``said``, what was asked for besides. Another estimator than the preset's, or another
    way to scale its second term, takes the preset's settings of it away.

    Raises:
        InputError: no such preset.
    """
    if name not in PRESETS:
        raise InputError(f"--preset: expected one of {', '.join(PRESETS)}, got '{name}'")
    values = dict(PRESETS[name][1])
    estimator = said.get("estimator", values.get("estimator"))
    if estimator in ESTIMATORS:
        unfit = set(OPTIONS) - set(ESTIMATORS[estimator].defaults)
        values = {key: value for key, value in values.items() if key not in unfit}
    if said.get("rho") is not None:
        values.pop("eta", None)
    return {**values, **said}

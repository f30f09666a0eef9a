"""Shared by the tests of re-training: one thread (the networks are tiny) and tiny trainings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from amended_darts.retraining import RetrainConfig

from ..threads import one_thread as one_thread


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., RetrainConfig]:
    """A training of about a second, with everything on that draws random numbers: 5 steps an epoch."""

    def make(**settings: object) -> RetrainConfig:
        defaults = {
            "genotype": "DARTS_V2",
            "cells": 3,
            "channels": 2,
            "epochs": 2,
            "batch_size": 256,
            "drop_path": 0.5,
            "out": str(tmp_path / "run"),
        }
        return RetrainConfig(**{**defaults, **settings})

    return make

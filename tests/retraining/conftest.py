"""Shared by the tests of re-training: one thread (the networks are tiny) and tiny trainings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from amended_darts.retraining import RetrainConfig


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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

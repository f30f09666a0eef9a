"""Shared by the tests of the search package: one thread (the networks are tiny) and tiny searches."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from amended_darts.config import SearchConfig

from ..threads import one_thread as one_thread
from .processes import COMMAND, ENVIRONMENT


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., SearchConfig]:
    """A search that takes about a second: one cell with two operators per edge, 11 steps an epoch."""

    def make(**settings: object) -> SearchConfig:
        defaults = {
            "space": "s2",
            "cells": 1,
            "channels": 2,
            "epochs": 2,
            "out": str(tmp_path / "run"),
            "alpha_lr": 0.05,
            "alpha_every": 1,
        }
        return SearchConfig(**{**defaults, **settings})

    return make


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``amended-darts`` in an empty folder."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**ENVIRONMENT, **environment},
            timeout=300,
            check=False,
        )

    return run

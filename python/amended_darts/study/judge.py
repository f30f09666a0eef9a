"""The judge: what was found, trained from scratch, all in the same way and as briefly as the machine forces."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amended_darts.errors import RunError
from amended_darts.genotype import Genotype
from amended_darts.metrics import FILE, read_lines
from amended_darts.retraining.config import RetrainConfig
from amended_darts.study.config import StudyConfig
from amended_darts.study.pool import each
from amended_darts.study.runs import Run

GENOTYPE = "genotype.json"


@dataclass(frozen=True)
class Training:
    """One architecture trained from scratch with one seed."""

    config: RetrainConfig

    @property
    def accuracy(self) -> float | None:
        """On the held-out images after the last epoch; None before that."""
        lines = read_lines(Path(self.config.out) / FILE)
        return lines[-1]["top1"] if len(lines) == self.config.epochs else None


def fingerprint(genotype: Genotype) -> str:
    """The same for architectures that are the same, whatever their space is called."""
    return hashlib.sha256(repr(genotype.cells).encode()).hexdigest()[:12]


def trainings(config: StudyConfig, runs: list[Run]) -> dict[str, Training]:
    """The training of every architecture that a finished run found, by its fingerprint."""
    setting, rows = config.resolved()
    found = {}
    for run in runs:
        if run.done and rows[run.row].judged:
            name = fingerprint(Genotype.load(run.out / GENOTYPE))
            size = {"cells": run.config.cells, "channels": run.config.channels}
            data = {"data": run.config.data, "root": run.config.root}
            out = str(Path(config.out) / config.setting / "judged" / name)
            values: dict[str, Any] = {**size, **data, **setting.retrain}
            found[name] = Training(RetrainConfig(genotype=str(run.out), out=out, resume=True, **values))
    return found


def judge(config: StudyConfig, runs: list[Run], say: Callable[[str], None]) -> None:
    """Trains what is not trained yet."""
    left = [training for training in trainings(config, runs).values() if training.accuracy is None]
    for done, (training, error) in enumerate(each(_train, left, config.processes), 1):
        told = f"failed: {error}" if error else f"{training.accuracy:.4f}"
        say(f"{done} of {len(left)} architectures trained from scratch: {told}")


def _train(training: Training) -> str | None:
    from amended_darts.retraining.loop import retrain

    try:
        retrain(training.config)
    except RunError as error:
        return str(error)
    return None

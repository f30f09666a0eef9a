"""What came out of the study, gathered from the folders of its runs."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch

from amended_darts.genotype import Genotype
from amended_darts.study.config import StudyConfig
from amended_darts.study.judge import GENOTYPE, fingerprint, trainings
from amended_darts.study.runs import Run

SERIES = (
    "train_loss",
    "heldout_accuracy",
    "skip_share",
    "second_ratio",
    "second_unscaled_ratio",
    "second_cosine",
    "discretised_accuracy",
    "sampled_accuracy",
    "sampled_deviation",
)
"""What is kept of an epoch, of those epochs in which sub-networks were measured."""


def gather(config: StudyConfig, runs: list[Run], failures: dict[str, str]) -> dict[str, Any]:
    """The content of study.json.

    Returns:
        ``setting``, ``about``, ``search`` and ``judge`` (the configurations that rows share), ``torch``, ``machine``,
        and ``runs``, one for each that is finished or failed: ``row``, ``seed``, ``epochs``, ``failed``, ``edges`` and
        ``skips`` (kept edges and how many of them are skip connections, reduction cells aside), ``genotype`` (its
        fingerprint), ``operators`` (kept edges by operator), ``judged`` (accuracy of the architecture trained from
        scratch), ``seconds``, and ``series`` of the epochs in which sub-networks were measured, ``operator_weights``
        (mean softmax weights) and ``terms`` (:class:`amended_darts.study.terms.Terms`) among them.
    """
    setting, _ = config.resolved()
    order = list(setting.rows)
    judged = {name: training.accuracy for name, training in trainings(config, runs).items()}
    return {
        "setting": config.setting,
        "about": setting.about,
        "search": setting.search,
        "judge": setting.retrain,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "runs": [
            _run(run, failures.get(run.config.out), judged)
            for run in sorted(runs, key=lambda run: (order.index(run.row), run.seed))
            if run.done or run.config.out in failures
        ],
    }


def _run(run: Run, failure: str | None, judged: dict[str, float | None]) -> dict[str, Any]:
    lines = run.metrics
    found: dict[str, Any] = {"row": run.row, "seed": run.seed, "epochs": run.config.epochs, "failed": failure}
    if not run.done:
        return found
    genotype = Genotype.load(run.out / GENOTYPE)
    own = [cell for cell in genotype.cells if not cell.reduction]
    name = fingerprint(genotype)
    return found | {
        "edges": sum(len(cell.edges) for cell in own),
        "skips": sum(edge.op == "skip_connect" for cell in own for edge in cell.edges),
        "genotype": name,
        "cell": short(genotype),
        "operators": genotype.operator_counts(),
        "judged": judged.get(name),
        "seconds": round(sum(line["seconds"] for line in lines), 1),
        "series": [_epoch(line) for line in lines if "sampled_accuracy" in line],
    }


def _epoch(line: dict[str, Any]) -> dict[str, Any]:
    kept = {name: line[name] for name in (*SERIES, "operator_weights", "terms") if line.get(name) is not None}
    return {"epoch": line["epoch"], **_rounded(kept)}


def _rounded(value: Any) -> Any:
    """Numbers to four digits, so that the file stays small."""
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def short(genotype: Genotype) -> str:
    """The first cell in NAS-Bench-201's notation, or its operators and their inputs node by node."""
    cell = genotype.cells[0]
    nodes = range(cell.inputs, cell.inputs + cell.nodes)
    text = ("|".join(f"{edge.op}~{edge.input}" for edge in cell.edges if edge.node == node) for node in nodes)
    return "+".join(f"|{part}|" for part in text)


def folder(config: StudyConfig) -> Path:
    """Where a setting's runs and results lie."""
    return Path(config.out) / config.setting

"""Reads what runs left in their folders; what a run has not written yet is absent, what is broken is refused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amended_darts.errors import InputError
from amended_darts.files import parse_json, read_json
from amended_darts.genotype import Genotype
from amended_darts.metrics import FILE

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class EdgeHistory:
    """One edge: the softmax weights of its operators after every epoch, oldest first."""

    name: str
    operators: tuple[str, ...]
    weights: list[list[float]]  # [epochs, operators]


@dataclass(frozen=True)
class Run:
    """One run as its folder has it.

    Attributes:
        name: for people; of several runs no two are the same.
        config: config.json.
        lines: metrics.jsonl.
        genotype: None where none is written yet.
        alphas: per group of cells its name and its edges; empty where the checkpoint tells nothing of them.
        stopped: why it ended early, if it did.
        notes: what could not be shown, and why.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    lines: list[dict[str, Any]]
    genotype: Genotype | None = None
    alphas: list[tuple[str, list[EdgeHistory]]] = field(default_factory=list)
    stopped: str | None = None
    notes: list[str] = field(default_factory=list)

    def series(self, *keys: str) -> list[tuple[int, float]]:
        """(epoch, value) of a number in the lines, ``keys`` leading to it; finite ones alone."""
        found = []
        for line in self.lines:
            value: Any = line
            for key in keys:
                value = value.get(key) if isinstance(value, dict) else None
            if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
                found.append((line["epoch"], float(value)))
        return found

    def operator_series(self, operator: str) -> list[tuple[int, float]]:
        """(epoch, number of edges that would carry the operator)."""
        lines = [line for line in self.lines if isinstance(line.get("operators"), dict)]
        return [(line["epoch"], float(line["operators"].get(operator, 0))) for line in lines]


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs in those folders.

    Raises:
        InputError: a folder that holds no run, or a file in it that is broken; names it.
    """
    last = [folder.resolve().name for folder in folders]
    twice = {name for name, count in Counter(last).items() if count > 1}
    return [_read(folder, str(folder) if name in twice else name) for folder, name in zip(folders, last, strict=True)]


def _read(folder: Path, name: str) -> Run:
    if not (folder / "config.json").is_file():
        raise InputError(f"run: expected the folder of a search, with config.json in it, got {folder}")
    config = read_json(folder / "config.json", "run")
    if not isinstance(config, dict):
        raise InputError(f"{folder / 'config.json'}: expected an object of settings, got another value")
    run = Run(name, folder, config, _lines(folder / FILE))
    genotype, stopped = None, None
    alphas: list[tuple[str, list[EdgeHistory]]] = []
    try:
        if (folder / "genotype.json").is_file():
            genotype = Genotype.load(folder / "genotype.json")
    except InputError as error:
        run.notes.append(f"cells are not shown: {error}")
    try:
        if (folder / CHECKPOINT).is_file():
            alphas, stopped = _alphas(folder / CHECKPOINT, config)
    except InputError as error:
        run.notes.append(f"α is not shown: {error}")
    return Run(name, folder, config, run.lines, genotype, alphas, stopped, run.notes)


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected lines of JSON, cannot read it ({error})") from None
    lines = []
    for number, text in enumerate(texts, 1):
        line = parse_json(text, f"{path} line {number}")
        if not isinstance(line, dict) or type(line.get("epoch")) is not int:
            raise InputError(f"{path} line {number}: expected an object with its epoch, got {text[:40]}")
        lines.append(line)
    return lines


def _alphas(path: Path, config: dict[str, Any]) -> tuple[list[tuple[str, list[EdgeHistory]]], str | None]:
    """Softmax weights of every edge after every epoch, and why the run was stopped."""
    from amended_darts.architecture import Architecture
    from amended_darts.checkpoint import load_checkpoint
    from amended_darts.drawing.layout import state_name
    from amended_darts.spaces import find_space

    state = load_checkpoint(path)
    if not state.get("alphas"):
        return [], state.get("stopped")
    space = find_space(config.get("space", ""))
    try:
        architecture = Architecture(space, config.get("cells"))
        epochs = [[group.tolist() for group in architecture.weights(alphas)] for alphas in state["alphas"]]
        found = []
        for index, group in enumerate(space.groups(architecture.cells)):
            edges = [
                EdgeHistory(
                    f"{state_name(source, space.inputs)} → {state_name(node, space.inputs)}",
                    group.candidates[row],
                    [epoch[index][row][: len(group.candidates[row])] for epoch in epochs],
                )
                for row, (node, source) in enumerate(space.edges)
            ]
            found.append((group.name, edges))
    except (RuntimeError, IndexError, AttributeError, TypeError):
        raise InputError(f"{path}: expected α of the space {space.name}, got others") from None
    return found, state.get("stopped")

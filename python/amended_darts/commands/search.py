"""``amended-darts search``: the options are the fields of SearchConfig."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from amended_darts.callbacks import Callback
from amended_darts.commands.options import add_options
from amended_darts.config import SearchConfig
from amended_darts.presets import PRESETS
from amended_darts.summary import as_text, summary_rows
from amended_darts.words import Clock

if TYPE_CHECKING:
    from amended_darts.search_result import SearchResult
    from amended_darts.search_state import SearchState

HELP = "search an architecture"
ONLY_WHAT_IS_SAID = True  # defaults come from the preset, if any, and only then from the fields

GROUPS = {
    "data": "data",
    "space": "search space and super-network",
    "network": "super-network, and consistency with re-training",
    "weights": "network weights w (SGD)",
    "alpha": "architectural parameters α (Adam)",
    "estimator": "gradient of α",
    "warning": "early warning and stopping",
    "speed": "speed and memory",
    "run": "run",
}


def add_arguments(parser: Any) -> None:
    """One option per field, grouped; ``--config`` reads any of them from a YAML or JSON file."""
    parser.add_argument("--config", action="config", help="YAML or JSON file with options (underscores in the names)")
    listed = "; ".join(f"{name}: {about}" for name, (about, _) in PRESETS.items())
    parser.add_argument(
        "--preset", type=str | None, metavar="NAME", help=f"defaults under one name. {listed} (default: none)"
    )
    add_options(parser, SearchConfig, GROUPS)


def read(options: Any) -> SearchConfig:
    """The configuration that was asked for: what was said, on the command line or in --config, over the preset's
    settings, over the defaults."""
    said = {entry.name: options[entry.name] for entry in fields(SearchConfig) if entry.name in options}
    preset = options.get("preset")
    return SearchConfig(**said) if preset is None else SearchConfig.from_preset(preset, **said)


def run(options: Any) -> int:
    """Searches; prints a line per epoch and, at the end, what was found and where it lies."""
    config = read(options)
    config.resolved()  # before torch is imported: wrong options are told at once
    from amended_darts.search_loop import search

    search(config, callbacks=[Told()])
    return 0


class Told(Callback):
    """Prints what was chosen, a line per epoch, and at the end what was found and where it lies; in rank 0 alone."""

    def __init__(self) -> None:
        self._clock = Clock()

    def on_start(self, state: SearchState) -> None:
        self._clock.start(state.epoch)
        for note in state.notes if state.ranks.first else ():
            print(note, flush=True)

    def on_epoch(self, state: SearchState, metrics: dict[str, Any]) -> None:
        if state.ranks.first:
            images = state.steps_per_epoch * state.weight_stream.batch_size / max(metrics["seconds"], 1e-3)
            left = "" if state.finished else f", {self._clock.left(state.epoch, state.config.epochs)} left"
            print(f"{describe(metrics, state.config.epochs)}, {images:.0f} images/s{left}", flush=True)

    def on_end(self, state: SearchState, result: SearchResult) -> None:
        if not state.ranks.first:
            return
        rows = summary_rows(result.config.to_dict(), result.history, result.genotype, result.stopped)
        if result.epoch != len(result.history):
            rows.append(("found in epoch", str(result.epoch)))
        print(as_text(rows))
        for name in ("genotype.json", "cells.svg", "alphas.png", "metrics.jsonl"):
            print(result.out / name)
        sys.stdout.flush()


def describe(line: dict[str, Any], epochs: int) -> str:
    """A line of metrics.jsonl for people."""

    def number(name: str, digits: int) -> str:
        return "-" if line[name] is None else f"{line[name]:.{digits}f}"

    return (
        f"epoch {line['epoch']}/{epochs}: train loss {number('train_loss', 3)}, "
        f"held-out accuracy {number('heldout_accuracy', 3)}, α entropy {number('alpha_entropy', 3)}, "
        f"skip_connect {line['operators'].get('skip_connect', 0)} of {sum(line['operators'].values())}, "
        f"{line['seconds']:.1f} s"
    )

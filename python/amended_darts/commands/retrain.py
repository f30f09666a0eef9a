"""``amended-darts retrain``: the options are the fields of RetrainConfig."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from amended_darts.commands.options import add_options, read_options
from amended_darts.retraining.config import RetrainConfig

HELP = "train a found network from scratch"

GROUPS = {"network": "network", "data": "data", "training": "training (SGD)", "run": "run"}


def add_arguments(parser: Any) -> None:
    """One option per field, grouped; ``--config`` reads any of them from a YAML or JSON file."""
    parser.add_argument("--config", action="config", help="YAML or JSON file with options (underscores in the names)")
    add_options(parser, RetrainConfig, GROUPS)


def run(options: Any) -> int:
    """Trains; prints the network's size, a line per epoch, and where everything lies."""
    config = read_options(RetrainConfig, options)
    config.resolved()  # before torch is imported: wrong options are told at once
    from amended_darts.retraining.loop import retrain

    epochs = 0

    def on_start(facts: dict[str, Any]) -> None:
        nonlocal epochs
        epochs = facts["epochs"]
        print(
            f"{facts['form']} network of {facts['cells']} cells, {facts['channels']} channels: "
            f"{facts['parameters']:,} parameters, {facts['multiply_adds']:,} multiply-adds",
            flush=True,
        )

    result = retrain(config, lambda line: print(describe(line, epochs), flush=True), on_start)
    last = result.history[-1]
    print(f"held-out images: top-1 {last['top1']:.4f}, top-5 {last['top5']:.4f}")
    for name in ("checkpoint.pt", "metrics.jsonl"):
        print(Path(result.out) / name)
    sys.stdout.flush()
    return 0


def describe(line: dict[str, Any], epochs: int) -> str:
    """A line of metrics.jsonl for people."""
    train, held = ("-" if line[name] is None else f"{line[name]:.3f}" for name in ("train_loss", "heldout_loss"))
    return (
        f"epoch {line['epoch']}/{epochs}: train loss {train}, held-out loss {held}, top-1 {line['top1']:.3f}, "
        f"top-5 {line['top5']:.3f}, {line['seconds']:.1f} s"
    )

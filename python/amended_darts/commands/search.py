"""``amended-darts search``: the options are the fields of SearchConfig."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import Any

from amended_darts.config import SearchConfig, field_types, flag

HELP = "search an architecture"

GROUPS = {
    "data": "data",
    "space": "search space and super-network",
    "weights": "network weights w (SGD)",
    "alpha": "architectural parameters α (Adam)",
    "run": "run",
}


def add_arguments(parser: Any) -> None:
    """One option per field, grouped; ``--config`` reads any of them from a YAML or JSON file."""
    parser.add_argument("--config", action="config", help="YAML or JSON file with options (underscores in the names)")
    groups = {name: parser.add_argument_group(title) for name, title in GROUPS.items()}
    for entry in fields(SearchConfig):
        add_option(groups[entry.metadata["group"]], entry)


def add_option(group: Any, entry: Any) -> None:
    """The option of one field: type and default of the field, help and unit of its metadata."""
    from jsonargparse import ActionYesNo

    unit = entry.metadata["unit"]
    text = entry.metadata["help"] + (f" [{unit}]" if unit else "")
    kinds = field_types(entry.type)
    if kinds == (bool,):
        action = ActionYesNo(yes_prefix="", no_prefix="no-")
        group.add_argument(flag(entry.name), action=action, default=entry.default, help=text)
        return
    kind: Any = kinds[0]
    if len(kinds) == 2:
        kind = kind | None
    group.add_argument(flag(entry.name), type=kind, default=entry.default, help=text)


def run(options: Any) -> int:
    """Searches; prints a line per epoch and, at the end, what was found and where it lies."""
    config = SearchConfig(**{entry.name: getattr(options, entry.name) for entry in fields(SearchConfig)})
    config.resolved()  # before torch is imported: wrong options are told at once
    from amended_darts.search_loop import search

    result = search(config, on_epoch=lambda line: print(describe(line, config.epochs), flush=True))
    last = result.history[-1]
    print(f"held-out accuracy of the super-network {last['heldout_accuracy']:.4f}")
    print("operators kept: " + ", ".join(f"{count} {op}" for op, count in last["operators"].items()))
    for name in ("genotype.json", "cells.svg", "alphas.png", "metrics.jsonl"):
        print(result.out / name)
    sys.stdout.flush()
    return 0


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

"""What came out of the study as Markdown tables; ``docs/results.md`` shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import mean, stdev
from typing import Any

from amended_darts.errors import InputError
from amended_darts.results_page import markdown_table

Record = dict[str, Any]


def markdown(results: Record, name: str) -> str:
    """One of the tables.

    Args:
        results: the content of study.json.
        name: ``estimators``, the rows that differ in the gradient of α; ``sensitivity``, those that differ in other
            settings; ``epochs``, super-network and sub-networks over time; ``terms``, what the two terms of the amended
            gradient do to each operator; ``cells``, what was found.

    Raises:
        InputError: no such table.
    """
    tables: dict[str, Callable[[Record], str]] = {
        "estimators": lambda found: _rows(found, [row for row in rows(found) if ", " not in row]),
        "sensitivity": lambda found: _rows(found, [row for row in rows(found) if ", " in row]),
        "epochs": _epochs,
        "terms": _terms,
        "cells": _cells,
    }
    if name not in tables:
        raise InputError(f"table: expected one of {', '.join(tables)}, got '{name}'")
    return tables[name](results)


def tables(results: Record) -> str:
    """All of them, for study.md."""
    parts = [
        f"# {results['about']}",
        *(markdown(results, name) for name in ("estimators", "sensitivity", "epochs", "terms", "cells")),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def rows(results: Record) -> list[str]:
    """Names of the rows of which at least one run is finished, in the order of the study."""
    return list(dict.fromkeys(run["row"] for run in results["runs"] if not run["failed"]))


def finished(results: Record, row: str) -> list[Record]:
    """The finished runs of a row, by seed."""
    found = [run for run in results["runs"] if run["row"] == row and not run["failed"]]
    return sorted(found, key=lambda run: run["seed"])


def _rows(results: Record, names: list[str]) -> str:
    if not names:
        return ""
    edges = max(run["edges"] for run in results["runs"] if not run["failed"])
    head = (
        "search", f"skips of {edges} edges, by seed", "skip weight", "super-network", "found, inherited weights",
        "sampled, inherited", "found, from scratch", "second / first term",
    )  # fmt: skip
    lines = []
    for name in names:
        runs = finished(results, name)
        last = [run["series"][-1] for run in runs]
        failed = sum(run["row"] == name and bool(run["failed"]) for run in results["runs"])
        lines.append(
            (
                label(name) + (f" ({failed} failed)" if failed else ""),
                ", ".join(str(run["skips"]) for run in runs),
                _spread(epoch["skip_share"] for epoch in last if "skip_share" in epoch),
                _spread(epoch["heldout_accuracy"] for epoch in last),
                _spread(epoch["discretised_accuracy"] for epoch in last),
                _spread(epoch["sampled_accuracy"] for epoch in last),
                _spread(run["judged"] for run in runs if run["judged"] is not None),
                _spread(mean(epoch["second_ratio"] for epoch in run["series"]) for run in runs)
                if any(epoch.get("second_ratio") for run in runs for epoch in run["series"]) else "–",
            )
        )  # fmt: skip
    return markdown_table(head, lines)


def _epochs(results: Record) -> str:
    """Means over seeds at the epochs in which sub-networks were measured."""
    names = [row for row in rows(results) if ", " not in row]
    lengths = {run["epochs"] for name in names for run in finished(results, name)}
    if not names or len(lengths) != 1:
        return ""
    epochs = [epoch["epoch"] for epoch in finished(results, names[0])[0]["series"]]
    kinds = {
        "heldout_accuracy": "super-network",
        "sampled_accuracy": "sampled sub-networks",
        "skip_share": "skip weight",
    }
    lines = []
    for name in names:
        for key, what in kinds.items():
            series = [[epoch.get(key) for epoch in run["series"]] for run in finished(results, name)]
            columns = zip(*series, strict=True)
            means = [mean(values) if None not in values else None for values in columns]
            lines.append((label(name), what, *("–" if value is None else _short(value) for value in means)))
    return markdown_table(("search", "mean over seeds", *(f"epoch {epoch}" for epoch in epochs)), lines)


def _terms(results: Record) -> str:
    """Means over seeds and the epochs in which terms were measured."""
    measured = {
        name: [found for run in finished(results, name) for epoch in run["series"] for found in epoch.get("terms", ())]
        for name in rows(results)
        if ", " not in name
    }
    lines = []
    operators = list(dict.fromkeys(op for found in measured.values() for entry in found for op in entry["first_push"]))
    for name, found in measured.items():
        for images in sorted({entry["images"] for entry in found}):
            same = [entry for entry in found if entry["images"] == images]
            for term, cosine in (("first", "–"), ("second", _short(mean(entry["cosine"] for entry in same)))):
                agreement = _short(mean(entry[f"{term}_agreement"] for entry in same))
                pushes = [_signed(mean(entry[f"{term}_push"][op] for entry in same)) for op in operators]
                lines.append((label(name), str(images), term, agreement, cosine, *pushes))
    head = ("search", "images", "term", "agreement of batches", "cosine to the first", *operators)
    return markdown_table(head, lines) if lines else ""


def _cells(results: Record) -> str:
    names = [row for row in rows(results) if ", " not in row]
    lines = [
        (label(name), str(run["seed"]), f"`{run['cell']}`".replace("|", "\\|"),
         "–" if run["judged"] is None else _short(run["judged"]))
        for name in names
        for run in finished(results, name)
    ]  # fmt: skip
    return markdown_table(("search", "seed", "first cell", "from scratch"), lines) if lines else ""


_WORDS = {
    "random": "random, α never moves",
    "first_order": "first order",
    "two_moment": "two-moment",
    "rho=": "ρ = ",
    "eta=": "η = ",
    " every=": ", α every ",
    "alpha_lr/3": "α learning rate / 3",
    "alpha_lr*3": "α learning rate × 3",
    "epochs/2": "half the epochs",
    "images*4": "4 times the images",
}


def label(row: str) -> str:
    """A row's name as people write it."""
    for short, long in _WORDS.items():
        row = row.replace(short, long)
    return row


def _spread(values: Iterable[float]) -> str:
    """Mean and deviation over seeds."""
    found = list(values)
    if not found:
        return "–"
    return _short(mean(found)) + (f" ± {_short(stdev(found))}" if len(found) > 1 else "")


def _short(value: float) -> str:
    text = f"{abs(value):.3f}".removeprefix("0") if abs(value) < 10 else f"{abs(value):.3g}"
    return f"−{text}" if value < 0 else text


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + _short(value)

"""The results as tables, for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amended_darts.benchmark.cases import Case
from amended_darts.benchmark.names import STEPS, VARIANTS
from amended_darts.results_page import markdown_table

Row = dict[str, Any]
Lines = list[list[str]]  # a head, then rows

COMPARED = ("eager", "checkpoint", "fused, kept", "fused")
"""Variants whose largest batches are told."""


def describe(results: dict[str, Any]) -> str:
    """All tables as text, with what they say."""
    parts = [f"Memory of a search step, float32; {_conditions(results)}"]
    for name, (title, make) in TABLES.items():
        lines = make(results)
        if len(lines) > 1:
            parts += ["", f"{title} ({name})", *_text(lines)]
    notes = {f"{_case(row)}, {row['variant']}: {row['note']}": None for row in results["rows"] if row.get("note")}
    return "\n".join([*parts, *([""] if notes else []), *notes])


def markdown(results: dict[str, Any], name: str) -> str:
    """One table for a page, or the ``conditions``.

    Raises:
        KeyError: no such table.
    """
    if name == "conditions":
        return _conditions(results)
    head, *rows = TABLES[name][1](results)
    return markdown_table(head, rows)


def _conditions(results: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in results["conditions"].items())


def saved(results: dict[str, Any]) -> Lines:
    """What a weight step's forward pass keeps for backward, by case and variant."""
    return _by_variant(results, lambda row: _find(row, "predicted", "saved") or _find(row, "measured", "saved"))


def peak(results: dict[str, Any], step: str) -> Lines:
    """The peak of a step on the CPU, predicted where it can be, by case and variant."""
    return _by_variant(
        results,
        lambda row: _find(row, "predicted", "peak", "cpu", step) or _find(row, "measured", "peak", step),
    )


def largest(results: dict[str, Any]) -> Lines:
    """The largest batch with which both steps fit, by case and budget."""
    present = {row["variant"] for row in results["rows"]}
    variants = [variant for variant in COMPARED if variant in present]
    lines = [["network", *(f"{budget} GB" for budget in results["budgets"])]]
    for case, rows in _cases(results).items():
        first = case.rpartition(", batch")[0]
        cells = []
        for budget in results["budgets"]:
            found = [_find(rows.get(variant), "largest", budget) for variant in variants]
            cells.append(" / ".join("–" if each is None else f"{each:,}" for each in found))
        if all(line[0] != first for line in lines):
            lines.append([first, *cells])
    return lines


def card(results: dict[str, Any]) -> Lines:
    """The higher peak of both steps with the CUDA kernels in GB, and the smallest budget that holds it."""
    present = {row["variant"] for row in results["rows"]}
    variants = [variant for variant in COMPARED if variant in present]
    lines = [["case", *variants]]
    for case, rows in _cases(results).items():
        cells = []
        for variant in variants:
            peaks = _find(rows.get(variant), "predicted", "peak", "cuda")
            if peaks is None:
                cells.append("–")
                continue
            needs = max(peaks.values()) / 1e9
            enough = next((budget for budget in results["budgets"] if float(budget) >= needs), "none")
            cells.append(f"{needs:.2f} ({enough})")
        lines.append([case, *cells])
    return lines


def measured(results: dict[str, Any]) -> Lines:
    """What was measured, how far the prediction is from it, what libraries keep aside, and times beside each other."""
    head = ["case", "variant", "saved", "kept by libraries"]
    for step in STEPS:
        head += [f"{NAMES[step]} step, peak", "predicted"]
    lines = [[*head, "weight step", "load"]]
    for case, rows in _cases(results).items():
        for variant, row in rows.items():
            if row["measured"] is None:
                continue
            kept = row["measured"]["kept"]
            cells = [case, variant, amount(row["measured"]["saved"]), amount(kept)]
            for step in STEPS:
                real = row["measured"]["peak"][step]
                said = _find(row, "predicted", "peak", results["conditions"]["device"], step)
                cells += [amount(real), "–" if said is None else f"{said / (real - kept) - 1:+.1%}".replace("-", "−")]
            fused = _find(rows.get("fused"), "seconds")
            seconds = row.get("seconds")
            cells.append("–" if seconds is None or fused is None else f"{seconds:.2f} s, {seconds / fused:.1f}")
            cells.append(str(row.get("load", "–")))
            lines.append(cells)
    return lines


NAMES = {"weight": "weight", "alpha": "α"}

TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], Lines]]] = {
    "saved": ("Saved for backward in a weight step, GiB; last, eager's in units of fused's", saved),
    "weight": ("Peak of a weight step, everything included, GiB", lambda results: peak(results, "weight")),
    "alpha": ("Peak of an amended α step, everything included, GiB", lambda results: peak(results, "alpha")),
    "card": ("What both steps need on a GPU, GB, and the smallest card that has it", card),
    "largest": ("Largest batch with which both steps fit a card: " + " / ".join(COMPARED), largest),
    "measured": (
        "Measured, GiB, and how far the prediction is from it without what libraries keep; times in seconds and in "
        "units of fused's, and the load then",
        measured,
    ),
}
"""Name → its title, and what makes it."""


def amount(count: int) -> str:
    """Bytes as GiB, with three digits that say something."""
    gib = count / 2**30
    return (
        f"{gib:,.0f}"
        if gib >= 99.5
        else f"{gib:.1f}"
        if gib >= 9.95
        else f"{gib:.2f}"
        if gib >= 0.0995
        else f"{gib:.3f}"
    )


def _case(row: Row) -> str:
    return str(Case(**row["case"]))


def _cases(results: dict[str, Any]) -> dict[str, dict[str, Row]]:
    cases: dict[str, dict[str, Row]] = {}
    for row in results["rows"]:
        cases.setdefault(_case(row), {})[row["variant"]] = row
    return cases


def _by_variant(results: dict[str, Any], value: Callable[[Row], int | None]) -> Lines:
    present = {row["variant"] for row in results["rows"]}
    variants = [variant for variant in VARIANTS if variant in present]
    lines = [["case", *variants, "eager / fused"]]
    for case, rows in _cases(results).items():
        found = {variant: value(row) for variant, row in rows.items()}
        cells = ["–" if found.get(variant) is None else amount(found[variant] or 0) for variant in variants]
        eager, fused = found.get("eager"), found.get("fused")
        lines.append([case, *cells, f"{eager / fused:.1f}" if eager and fused else "–"])
    return lines


def _find(row: Row | None, *keys: str) -> Any:
    found: Any = row
    for key in keys:
        found = None if found is None else found.get(key)
    return found


def _text(lines: Lines) -> list[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]

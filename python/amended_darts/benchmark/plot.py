"""The results as one picture: what a search needs, network by network, against the memory of cards."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from amended_darts.benchmark.table import COMPARED
from amended_darts.drawing.png import save_png
from amended_darts.extras import require

COLOURS = {"eager": "#b3493d", "checkpoint": "#d9a441", "fused, kept": "#7fa7c9", "fused": "#22577a"}


def draw(results: dict[str, Any], path: Path) -> None:
    """Writes a PNG: the peak of an amended α step by case and variant, as predicted, and a line per budget.

    Raises:
        InputError: matplotlib is not installed.
        RunError: the file could not be written.
    """
    require("matplotlib", "the memory benchmark's plot")
    from matplotlib.figure import Figure

    cases = _peaks(results)
    names = list(cases)
    figure = Figure(figsize=(9.5, 1.6 + 0.46 * max(len(names), 4)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(COMPARED)
    for number, variant in enumerate(COMPARED):
        places = [row + (number - (len(COMPARED) - 1) / 2) * height for row in range(len(names))]
        values = [cases[name].get(variant, 0.0) for name in names]
        axes.barh(places, values, 0.9 * height, color=COLOURS[variant], label=variant)
    axes.set_xscale("log")
    found = [value for peaks in cases.values() for value in peaks.values()] or [1.0]
    largest = max(*found, *map(float, results["budgets"]))
    axes.set_xlim(10 ** math.floor(math.log10(min(found))), 1.5 * largest)
    for budget in results["budgets"]:
        axes.axvline(float(budget), color="#555", linewidth=0.8, linestyle=":", zorder=0)
        axes.annotate(
            budget, (float(budget), 1), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8
        )
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("peak of an amended α step, GB; dotted: memories of cards")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper center", ncols=len(COMPARED), frameon=False, fontsize=9)
    save_png(figure, path, 110)


def _peaks(results: dict[str, Any]) -> dict[str, dict[str, float]]:
    """GB by case and variant; of a network with several sizes of batches the first."""
    batches: dict[tuple[Any, ...], int] = {}
    cases: dict[str, dict[str, float]] = {}
    for row in results["rows"]:
        case = row["case"]
        network = (case["space"], case["cells"], case["channels"], case["size"])
        known = row["predicted"] is not None and row["predicted"]["peak"] is not None
        if not known or batches.setdefault(network, case["batch"]) != case["batch"]:
            continue
        name = f"{case['space']} {case['cells']} x {case['channels']}\n{case['size']} px, batch {case['batch']}"
        cases.setdefault(name, {})[row["variant"]] = row["predicted"]["peak"]["cuda"]["alpha"] / 1e9
    return cases

"""The results as one picture."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from amended_darts.drawing.png import save_png
from amended_darts.extras import require

SHOWN = ("A v", "amended", "neumann(1)", "two-moment", "cg(5)", "neumann(20)")


def draw(results: dict[str, Any], path: Path) -> None:
    """Writes a PNG: cosines by condition number, cosines on the networks, sizes, radii.

    Raises:
        InputError: matplotlib is not installed.
        RunError: the file could not be written.
    """
    require("matplotlib", "the fidelity study's plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9), layout="constrained")
    grid = figure.subplots(2, 2)
    _conditions(grid[0, 0], results["agreement"])
    _networks(grid[0, 1], results["agreement"])
    _sizes(grid[1, 0], results["sizes"])
    _radii(grid[1, 1], results["differences"])
    save_png(figure, path, 120)


def _conditions(axes: Any, rows: list[dict[str, Any]]) -> None:
    for kind, style in (("isotropic", "--"), ("correlated", "-")):
        prefix = f"quadratic, {kind}, condition "
        mine = [row for row in rows if row["problem"].startswith(prefix)]
        conditions = sorted({float(row["problem"].removeprefix(prefix)) for row in mine})
        for number, estimator in enumerate(SHOWN):
            chosen = [row for row in mine if row["estimator"] == estimator]
            values = [
                median(row["cosine"] for row in chosen if float(row["problem"].removeprefix(prefix)) == condition)
                for condition in conditions
            ]
            label = estimator if style == "-" else None
            axes.plot(conditions, values, style, color=f"C{number}", marker="o", markersize=3, label=label)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="condition number of H", ylabel="cosine to the exact second term (median)")
    axes.set_title("quadratic problems: A, v isotropic (dashed), correlated with H (solid)", fontsize=10)
    axes.legend(fontsize=8)


def _networks(axes: Any, rows: list[dict[str, Any]]) -> None:
    mine = [row for row in rows if row["problem"].startswith("network")]
    places = list(dict.fromkeys((row["problem"], row["truth"]) for row in mine))
    width = 0.8 / len(SHOWN)
    for number, estimator in enumerate(SHOWN):
        for index, place in enumerate(places):
            values = [r["cosine"] for r in mine if (r["problem"], r["truth"]) == place and r["estimator"] == estimator]
            x = index + (number - len(SHOWN) / 2 + 0.5) * width
            axes.bar(x, median(values), width, color=f"C{number}", label=estimator if index == 0 else None)
            axes.plot([x] * len(values), values, "k.", markersize=3)
    axes.axhline(0, color="black", linewidth=0.8)
    labels = [f"{problem.removeprefix('network, ')}\n{truth}" for problem, truth in places]
    axes.set_xticks(range(len(places)), labels, fontsize=7, rotation=25, ha="right")
    axes.set(ylabel="cosine of the second terms")
    axes.set_title("super-network on digits: bars medians, dots seeds", fontsize=10)
    axes.legend(fontsize=8)


def _sizes(axes: Any, rows: list[dict[str, Any]]) -> None:
    mine = [row for row in rows if row["size"].startswith("rho") and row["truth"] != "exact"]
    for number, problem in enumerate(dict.fromkeys(row["problem"] for row in mine)):
        for estimator, line in (("amended", "-"), ("A v", ":")):
            chosen = [row for row in mine if row["problem"] == problem and row["estimator"] == estimator]
            sizes = sorted({float(row["size"].removeprefix("rho ")) for row in chosen})
            values = [median(r["cosine"] for r in chosen if float(r["size"].removeprefix("rho ")) == s) for s in sizes]
            axes.plot(
                sizes, values, line, color=f"C{number}", label=f"{problem.removeprefix('network, ')}, {estimator}"
            )
    axes.set(xlabel="ρ = ‖second term‖ / ‖first‖", ylabel="cosine of the whole gradient")
    axes.set_title("size of the second term, against back-propagation through training", fontsize=10)
    axes.legend(fontsize=7)


def _radii(axes: Any, rows: list[dict[str, Any]]) -> None:
    groups = list(dict.fromkeys((row["problem"], row["precision"]) for row in rows))
    precisions = list(dict.fromkeys(precision for _, precision in groups))
    for problem, precision in groups:
        mine = [row for row in rows if (row["problem"], row["precision"]) == (problem, precision)]
        radii = sorted({row["radius"] for row in mine})
        values = [max(median(r["error"] for r in mine if r["radius"] == radius), 1e-9) for radius in radii]
        style = "-" if "softplus" in problem else "--"
        label = f"{problem.split(', ')[1]}, {precision}"
        axes.plot(radii, values, style, color=f"C{precisions.index(precision)}", marker="o", markersize=3, label=label)
    axes.set(xscale="log", yscale="log", xlabel="radius", ylabel="relative error of the amended term")
    axes.set_title("finite differences against double backward", fontsize=10)
    axes.legend(fontsize=7)

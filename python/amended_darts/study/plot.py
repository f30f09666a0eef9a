"""What came out of the study as one picture."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import mean
from typing import Any

from amended_darts.drawing.png import save_png
from amended_darts.extras import require
from amended_darts.study.table import finished, label, rows

Record = dict[str, Any]

_COLORS = ("C0", "C1", "C2", "C3", "C4", "C5", "C6", "C8", "C9", "black", "navy", "darkgreen")  # grey is not among them


def draw(results: Record, path: Path) -> None:
    """Writes a PNG: skip connections, super-network and sampled sub-networks over the epochs, of rows with all seeds;
    what training from scratch makes of what was found, of rows with fewer seeds in grey.

    Raises:
        InputError: matplotlib is not installed.
        RunError: the file could not be written.
    """
    require("matplotlib", "the study's picture")
    from matplotlib.figure import Figure

    names = [row for row in rows(results) if ", " not in row]
    most = max(len(finished(results, name)) for name in names)
    figure = Figure(figsize=(14, 4.8), layout="constrained")
    skips, accuracies, judged = figure.subplots(1, 3)
    whole = [name for name in names if len(finished(results, name)) == most]
    colors = dict.fromkeys(names, "0.5") | dict(zip(whole, cycle(_COLORS), strict=False))
    for name in whole:
        color, runs = colors[name], finished(results, name)
        _curve(skips, runs, lambda epoch: epoch.get("skip_share"), color, "-", seeds=len(runs) > 1)
        _curve(accuracies, runs, lambda epoch: epoch["heldout_accuracy"], color, "-")
        _curve(accuracies, runs, lambda epoch: epoch["sampled_accuracy"], color, "--")
    skips.set(xlabel="epoch", ylabel="mean softmax weight", ylim=(0, 1))
    skips.set_title("skip connections (thin: seeds; colours as on the right)", fontsize=10)
    accuracies.set(xlabel="epoch", ylabel="held-out accuracy")
    accuracies.set_title("super-network, and sub-networks sampled from it (dashed)", fontsize=10)
    _judged(judged, results, colors)
    save_png(figure, path, 110)


def _curve(
    axes: Any,
    runs: list[Record],
    value: Callable[[Record], float | None],
    color: str,
    style: str,
    seeds: bool = False,
) -> None:
    """The mean over runs, and with ``seeds`` a thin line for each."""
    lines = [[(epoch["epoch"], value(epoch)) for epoch in run["series"]] for run in runs]
    lines = [line for line in lines if all(y is not None for _, y in line)]
    if not lines:
        return
    for line in lines if seeds else ():
        axes.plot(*zip(*line, strict=True), style, color=color, linewidth=0.5, alpha=0.6)
    means = [mean(values) for values in zip(*([y for _, y in line] for line in lines), strict=True)]
    axes.plot([epoch for epoch, _ in lines[0]], means, style, color=color, linewidth=2)


def _judged(axes: Any, results: Record, colors: dict[str, str]) -> None:
    """A dot for every seed, a bar at their mean."""
    for number, (name, color) in enumerate(colors.items()):
        found = [run["judged"] for run in finished(results, name) if run["judged"] is not None]
        axes.plot(found, [number] * len(found), "o", color=color, alpha=0.7)
        if found:
            axes.plot([mean(found)] * 2, [number - 0.35, number + 0.35], color=color, linewidth=2)
    axes.set_yticks(range(len(colors)), [label(name) for name in colors], fontsize=8)
    for text, color in zip(axes.get_yticklabels(), colors.values(), strict=True):
        text.set_color(color)
    axes.invert_yaxis()
    axes.set(xlabel="held-out accuracy")
    axes.set_title("what was found, trained from scratch", fontsize=10)

"""Puts the page together: summary, curves, cells, α, settings."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from amended_darts.drawing import draw_cells
from amended_darts.genotype import Genotype
from amended_darts.options import flag
from amended_darts.report.charts import Line, legend_of, line_chart
from amended_darts.report.heatmaps import data_uri, edge_map, scale
from amended_darts.report.runs import Run
from amended_darts.report.style import CSS
from amended_darts.summary import summary_rows

_UNLIKE = ("out", "resume", "overwrite")  # differ between any two runs and say nothing

# title, path to the number in a line of metrics.jsonl, factor, whole numbers, axis from zero
_CURVES: tuple[tuple[str, tuple[str, ...], float, bool, bool], ...] = (
    ("held-out accuracy", ("heldout_accuracy",), 1, False, False),
    ("held-out loss", ("heldout_loss",), 1, False, False),
    ("training loss of w", ("train_loss",), 1, False, False),
    ("training accuracy", ("train_accuracy",), 1, False, False),
    ("loss of the α steps", ("alpha_loss",), 1, False, False),
    ("skip-connect: mean softmax weight", ("skip_share",), 1, False, True),
    ("entropy of α, mean over edges (nats)", ("alpha_entropy",), 1, False, False),
    ("dominant eigenvalue of ∂²L_val/∂α²", ("alpha_eigenvalue",), 1, False, True),
    ("second term of the α gradient / first", ("second_ratio",), 1, False, True),
    ("cosine between the two terms", ("second_cosine",), 1, False, False),
    ("seconds per epoch", ("seconds",), 1, False, True),
    ("peak memory (MiB)", ("peak_memory_bytes",), 1 / 2**20, False, True),
)


def render(runs: Sequence[Run]) -> str:
    """The page, for runs in the order given."""
    title = f"{runs[0].name}: report" if len(runs) == 1 else f"{len(runs)} runs compared"
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        # No icon is asked for, and nothing that a run's files hold can load or run anything.
        '<link rel="icon" href="data:,">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">",
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body><main>",
        f'<h1>{escape(title)}</h1><p class="soft">amended-darts report</p>',
    ]
    if len(runs) > 1:
        parts.append(legend_of([(run.name, style) for style, run in enumerate(runs)]))
    parts += [_summary(runs), _notes(runs), _curves(runs), _cells(runs), _alphas(runs), _settings(runs)]
    return "\n".join(part for part in parts if part) + "\n</main></body></html>\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    lines = [
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(text)}</td>" for text in row[1:]) + "</tr>"
        for row in rows
    ]
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _summary(runs: Sequence[Run]) -> str:
    columns = [dict(summary_rows(run.config, run.lines, run.genotype, run.stopped)) for run in runs]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [[name, *(column.get(name, "-") for column in columns)] for name in names]
    return "<h2>Summary</h2>" + _table(["", *(run.name for run in runs)], rows)


def _notes(runs: Sequence[Run]) -> str:
    lines = [f'<p class="soft">{escape(run.name)}: {escape(note)}</p>' for run in runs for note in run.notes]
    return "".join(lines)


def _curves(runs: Sequence[Run]) -> str:
    charts = []
    for title, keys, factor, whole, zero in _CURVES:
        lines = [
            Line(run.name, style, [(epoch, value * factor) for epoch, value in run.series(*keys)])
            for style, run in enumerate(runs)
        ]
        charts.append(line_chart(title, lines, whole=whole, zero=zero))
    for operator in _operators(runs):
        lines = [Line(run.name, style, run.operator_series(operator)) for style, run in enumerate(runs)]
        chart = line_chart(f"edges that would keep {operator}", lines, whole=True, zero=True)
        charts.insert(5 if operator == "skip_connect" else len(charts), chart)
    return f'<h2>Curves</h2><div class="charts">{"".join(charts)}</div>' if any(charts) else ""


def _operators(runs: Sequence[Run]) -> list[str]:
    """All that some epoch of some run would keep; skip_connect always, where operators are told of at all."""
    counts = [line["operators"] for run in runs for line in run.lines if isinstance(line.get("operators"), dict)]
    if not counts:
        return []
    return list(dict.fromkeys(["skip_connect", *(str(name) for each in counts for name in each)]))


def _cells(runs: Sequence[Run]) -> str:
    pictures = [
        f'<h3>{escape(run.name)}</h3><div class="cells"><img src="{_picture(run.genotype)}" '
        f'alt="{escape(_in_words(run.genotype))}"></div>'
        for run in runs
        if run.genotype is not None
    ]
    return "<h2>Final cells</h2>" + "".join(pictures) if pictures else ""


def _picture(genotype: Genotype) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.svg"
        draw_cells(genotype, path)
        return data_uri("image/svg+xml", path.read_bytes())


def _in_words(genotype: Genotype) -> str:
    counts = genotype.operator_counts().items()
    return "cells with " + ", ".join(f"{count} {operator}" for operator, count in counts)


def _alphas(runs: Sequence[Run]) -> str:
    shown = [run for run in runs if run.alphas]
    if not shown:
        return ""
    top = max(w for run in shown for _, edges in run.alphas for edge in edges for row in edge.weights for w in row)
    parts = [f"<h2>α, edge by edge</h2>{scale(top)}"]
    for run in shown:
        parts.append(f"<h3>{escape(run.name)}</h3>" if len(runs) > 1 else "")
        for name, edges in run.alphas:
            maps = "".join(edge_map(edge, top) for edge in edges)
            opened = " open" if len(shown) <= 3 and len(run.alphas) <= 2 else ""
            summary = name if name.startswith("cell") else f"{name} cell"
            parts.append(
                f'<details{opened}><summary>{escape(summary)}</summary><div class="edges">{maps}</div></details>'
            )
    return "".join(parts)


def _settings(runs: Sequence[Run]) -> str:
    names = [name for name in dict.fromkeys(name for run in runs for name in run.config) if name not in _UNLIKE]
    values = {name: [_value(run.config.get(name)) for run in runs] for name in names}
    different = [[flag(name), *values[name]] for name in names if len(set(values[name])) > 1]
    alike = [[flag(name), values[name][0]] for name in names if len(set(values[name])) == 1]
    parts = ["<h2>Settings</h2>"]
    if different:
        parts += ["<p>Where the runs differ:</p>", _table(["option", *(run.name for run in runs)], different)]
    elif len(runs) > 1:
        parts.append("<p>The runs do not differ in any setting.</p>")
    if alike:
        label = "all settings" if len(runs) == 1 else "the same in all runs"
        parts.append(f"<details><summary>{label}</summary>{_table(['option', 'value'], alike)}</details>")
    return "".join(parts)


def _value(value: Any) -> str:
    return "-" if value is None else ("no", "yes")[value] if isinstance(value, bool) else str(value)

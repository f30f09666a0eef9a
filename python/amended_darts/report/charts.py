"""Line charts as SVG text: a line per run, a value per epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 360, 210  # SVG units, about a pixel each on a phone
LEFT, RIGHT, TOP, BOTTOM = 50, 10, 10, 34
STYLES = 8  # of lines: style.py tells them apart by colour, and by dashes after that


@dataclass(frozen=True)
class Line:
    """A run's values: (epoch, value), oldest first. ``style`` is the same for a run in all charts."""

    name: str
    style: int
    points: Sequence[tuple[int, float]]


def line_chart(title: str, lines: Sequence[Line], *, whole: bool = False, zero: bool = False) -> str:
    """A figure with the lines that have points; empty text where none has.

    Args:
        title: says what is shown, with its unit.
        whole: values are counts: whole numbers on the axis.
        zero: the axis starts at 0.
    """
    lines = [line for line in lines if line.points]
    if not lines:
        return ""
    values = [value for line in lines for _, value in line.points]
    epochs = [epoch for line in lines for epoch, _ in line.points]
    rows = _ticks(min(0.0, *values) if zero else min(values), max(values), 5, whole)
    columns = [tick for tick in _ticks(min(epochs), max(epochs), 6, True) if min(epochs) <= tick <= max(epochs)]
    low, high = rows[0], rows[-1]
    first, last = min(epochs), max(epochs)

    def x(epoch: float) -> float:
        share = 0.5 if last == first else (epoch - first) / (last - first)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for tick in rows:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick)}" y2="{y(tick)}"/>')
        parts.append(f'<text class="end" x="{LEFT - 5}" y="{y(tick) + 4}">{_number(tick)}</text>')
    for tick in columns:
        parts.append(f'<text class="middle" x="{x(tick)}" y="{HEIGHT - BOTTOM + 15}">{_number(tick)}</text>')
    parts.append(f'<text class="middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}">epoch</text>')
    for line in lines:
        style = f"s{line.style % STYLES}" + (" dashed" if line.style >= STYLES else "")
        path = " ".join(f"{x(epoch)},{y(value)}" for epoch, value in line.points)
        parts.append(f'<polyline class="{style}" points="{path}"/>')
        for epoch, value in line.points:
            told = f"{line.name}, epoch {epoch}: {value:.6g}"
            parts.append(f'<circle class="{style}" cx="{x(epoch)}" cy="{y(value)}" r="2">')
            parts.append(f"<title>{escape(told)}</title></circle>")
    parts.append("</svg>")
    legend = legend_of([(line.name, line.style) for line in lines]) if len(lines) > 1 else ""
    return f"<figure><figcaption>{escape(title)}</figcaption>{''.join(parts)}{legend}</figure>"


def legend_of(runs: Sequence[tuple[str, int]]) -> str:
    """Names with their lines."""
    entries = []
    for name, style in runs:
        classes = f"s{style % STYLES}" + (" dashed" if style >= STYLES else "")
        swatch = f'<svg class="swatch" viewBox="0 0 24 8" aria-hidden="true"><line class="{classes}" x2="24" y1="4" '
        entries.append(f'<li>{swatch}y2="4"/></svg>{escape(name)}</li>')
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _ticks(low: float, high: float, count: int, whole: bool) -> list[float]:
    """Round numbers from at most ``low`` to at least ``high``, two at least."""
    from matplotlib.ticker import MaxNLocator

    if low == high:
        margin = max(1.0, abs(low)) * 0.5 if whole or low == 0 else abs(low) * 0.1
        low, high = low - margin, high + margin
    return [float(tick) for tick in MaxNLocator(count, integer=whole, min_n_ticks=2).tick_values(low, high)]


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")

"""Draws the cells of a genotype: states as boxes, kept edges as arrows that carry the name of their operator."""

from __future__ import annotations

import io
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

from amended_darts.drawing.dot import write_dot
from amended_darts.drawing.layout import Layout, arrange
from amended_darts.errors import InputError
from amended_darts.extras import require
from amended_darts.files import replacing
from amended_darts.genotype import Genotype

UNIT = 0.34  # inches: height of a box
STEP = 1.12, 0.95  # inches between columns: of one or two cells, of many
HALF = 0.3, 0.4  # inches: half the width of a box (even columns) and of a label (odd columns)
MARGIN = 0.45  # inches
PAGE = 17.0  # inches: widest picture of many cells
FORMATS = (".svg", ".png", ".pdf", ".dot")

COLOURS = {
    "skip": "#4d4d4d",
    "sep": "#0b62a4",
    "dil": "#6a3d9a",
    "nor": "#00796b",
    "max": "#b3420a",
    "avg": "#8a6d00",
    "noise": "#a01060",
    "none": "#999999",
}


def draw_cells(genotype: Genotype, path: Path) -> None:
    """Writes the picture; its format follows the name (.svg, .png or .pdf, or .dot for Graphviz, without a layout).

    Raises:
        InputError: another format, or matplotlib is not installed.
        RunError: the file could not be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"--out: expected a name that ends in {', '.join(FORMATS)}, got {path}")
    if path.suffix.lower() == ".dot":
        write_dot(genotype, path, _title, _colour)
        return
    matplotlib = require("matplotlib", "drawing the cells")
    from matplotlib.figure import Figure

    many = len(genotype.cells) > 2
    # That all nodes join in the output need not be drawn twenty times.
    layouts = [arrange(cell, output=not many) for cell in genotype.cells]
    titles = [_title(genotype, index) for index in range(len(layouts))]
    step = STEP[many]
    sizes = [_size(layout, step) for layout in layouts]
    across = _across(sizes) if many else 1
    down = math.ceil(len(layouts) / across)
    widths = [max(size[0] for size in sizes[column::across]) for column in range(across)]
    heights = [max(size[1] for size in sizes[row * across : (row + 1) * across]) for row in range(down)]
    width, height = sum(widths), sum(heights) + (MARGIN if many else 0)
    figure = Figure(figsize=(width, height))
    for index, (layout, title) in enumerate(zip(layouts, titles, strict=True)):
        row, column = divmod(index, across)
        left, top = sum(widths[:column]), height - sum(heights[:row])
        cell_width, cell_height = sizes[index]
        # One unit of the axes is one inch: text keeps its size, and its distances hold.
        axes = figure.add_axes(
            (left / width, (top - cell_height) / height, cell_width / width, cell_height / height),
            xlim=(0, cell_width),
            ylim=(0, cell_height),
        )
        axes.set_axis_off()
        axes.text(MARGIN / 2, cell_height - 0.2, title, fontsize=10, fontweight="bold", va="center")
        _draw(axes, layout, cell_height, step)
    if many:
        what = "is its last node" if genotype.cells[0].inputs == 1 else "concatenates its nodes 0, 1, ..."
        text = f"{genotype.space}: the output of a cell {what}"
        figure.text(MARGIN / 2 / width, 0.2 / height, text, fontsize=9, va="center")
    buffer = io.BytesIO()
    # Text stays text in SVG (searchable, small); a fixed salt and no date make equal cells equal files.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "amended-darts"}):
        undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower(), {})
        figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=150, metadata=undated)
    with replacing(path) as file:
        file.write(buffer.getvalue())


def _across(sizes: list[tuple[float, float]]) -> int:
    """As many columns as fit into the width of a page."""
    for across in range(len(sizes), 1, -1):
        if sum(max(size[0] for size in sizes[column::across]) for column in range(across)) <= PAGE:
            return across
    return 1


def _title(genotype: Genotype, index: int) -> str:
    kind = "reduction cell" if genotype.cells[index].reduction else "normal cell"
    if len(genotype.cells) == 1 and genotype.cells[0].inputs == 1:
        return f"cell ({genotype.space})"
    if len(genotype.cells) == 2:
        return f"{kind} ({genotype.space})"
    return f"cell {index} ({kind.removesuffix(' cell')})"


def _size(layout: Layout, step: float) -> tuple[float, float]:
    """Inches."""
    tops = [point.y + point.height / 2 for point in layout.points]
    bottoms = [point.y - point.height / 2 for point in layout.points]
    return (layout.columns - 1) * step + 2 * MARGIN, (max(tops) - min(bottoms)) * UNIT + MARGIN + 0.4


def _draw(axes: Any, layout: Layout, height: float, step: float) -> None:
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
    from matplotlib.path import Path as Curve

    top = max(point.y + point.height / 2 for point in layout.points)
    places = [(MARGIN + point.column * step, height - 0.4 - (top - point.y) * UNIT) for point in layout.points]
    half = HALF[0]
    for route in layout.routes:
        vertices: list[tuple[float, float]] = []
        codes: list[Any] = []
        for one, other in pairwise(route.points):
            # Level beside boxes and labels, rising and falling in the gaps between columns: nothing is run over.
            (x0, y0), (x1, y1) = places[one], places[other]
            x0 += HALF[layout.points[one].column % 2]
            x1 -= HALF[layout.points[other].column % 2]
            middle = (x0 + x1) / 2
            vertices += [(x0, y0), (middle, y0), (middle, y1), (x1, y1)]
            codes += [Curve.LINETO if codes else Curve.MOVETO, *[Curve.CURVE4] * 3]
        colour = "#c4c4c4" if route.op is None else _colour(route.op)
        axes.add_patch(
            FancyArrowPatch(
                path=Curve(vertices, codes),
                arrowstyle="-|>",
                mutation_scale=8,
                linewidth=0.8 if route.op is None else 1.2,
                color=colour,
                shrinkA=0,
                shrinkB=0,
                zorder=1 if route.op is None else 2,
            )
        )
    for point, (x, y) in zip(layout.points, places, strict=True):
        if point.kind == "state":
            given = point.column == 0 or point.text.startswith("c")
            axes.add_patch(
                FancyBboxPatch(
                    (x - half + 0.04, y - 0.09),
                    2 * half - 0.08,
                    0.18,
                    boxstyle="round,pad=0.04",
                    facecolor="#e8f0e4" if given else "#e3ecf7",
                    edgecolor="#444444",
                    linewidth=0.9,
                    zorder=3,
                )
            )
            axes.text(x, y, point.text, ha="center", va="center", fontsize=8.5, zorder=4)
        elif point.kind == "label":
            axes.text(
                x,
                y,
                point.text,
                ha="center",
                va="center",
                fontsize=7.5,
                color=_colour(point.text),
                zorder=4,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2},
            )


def _colour(op: str) -> str:
    return COLOURS.get(op.partition("_")[0], "#333333")

"""Draws α as heat-maps of softmax weights: one map per group of cells, a row per edge, a column per operator."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from amended_darts.drawing.layout import state_name
from amended_darts.drawing.png import save_png
from amended_darts.extras import require
from amended_darts.genotype import Topology
from amended_darts.spaces import Group, Space

SQUARE = 0.5, 0.27  # inches: width and height of an entry


def draw_alphas(
    space: Space, groups: Sequence[Group], weights: Sequence[Tensor], path: Path, topology: Topology | None = None
) -> None:
    """Writes a PNG. ``weights``: softmax weights of each group, [edges, candidates]. Rows of edges that are not in the
    topology stay blank.

    Raises:
        InputError: matplotlib is not installed.
        RunError: the file could not be written.
    """
    require("matplotlib", "drawing α")
    from matplotlib.figure import Figure

    across = 2 if len(groups) == 2 else math.ceil(math.sqrt(len(groups)))
    down = math.ceil(len(groups) / across)
    names = [_columns(group) for group in groups]
    width = max(len(columns) for columns in names) * SQUARE[0] + 1.1
    height = len(space.edges) * SQUARE[1] + 1.75
    figure = Figure(figsize=(width * across + 0.9, height * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    top = max(float(group.max()) for group in weights)
    image = None
    for index, axes in enumerate(grid.flat):
        if index >= len(groups):
            axes.set_axis_off()
            continue
        kept = space.edges if topology is None else topology[index]
        image = _heat_map(axes, space, groups[index], names[index], weights[index], top, kept)
    if image is not None:
        figure.colorbar(image, ax=grid, label="softmax weight", fraction=0.03)
    save_png(figure, path, 130)


def _columns(group: Group) -> list[str]:
    """All operators of the group in the order of first appearance."""
    return list(dict.fromkeys(name for names in group.candidates for name in names))


def _heat_map(
    axes: Any,
    space: Space,
    group: Group,
    names: list[str],
    weights: Tensor,
    top: float,
    kept: Collection[tuple[int, int]],
) -> Any:
    values = [[math.nan] * len(names) for _ in space.edges]
    for row, candidates in enumerate(group.candidates):
        if space.edges[row] not in kept:
            continue
        for position, name in enumerate(candidates):
            values[row][names.index(name)] = float(weights[row, position])
    image = axes.imshow(values, cmap="viridis", vmin=0, vmax=top, aspect="auto")
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(
        range(len(space.edges)),
        [f"{state_name(source, space.inputs)} → {state_name(node, space.inputs)}" for node, source in space.edges],
        fontsize=8,
    )
    axes.set_title(group.name + " (reduction)" * (group.reduction and not space.shared), fontsize=10)
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            if not math.isnan(value):
                bright = value > 0.6 * top
                axes.text(
                    column,
                    row,
                    f"{value:.2f}".removeprefix("0"),
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="black" if bright else "white",
                )
    return image

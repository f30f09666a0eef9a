"""Where the boxes and labels of a cell's picture go.

A layered drawing after Sugiyama, Tagawa and Toda (1981): states in columns, every edge passing one point in each column
between; its label is such a point, so that labels have places of their own and never overlap. Points are
ordered within columns for few crossings, then moved up and down, keeping their order and distances, until edges are
nearly straight.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from amended_darts.genotype import Cell

ROUNDS = 32
KEPT = 3  # a crossing with a kept edge is that much worse than one with an edge to the output

Pieces = dict[int, list[tuple[int, int, int]]]  # by left column: two points and a weight


@dataclass
class Point:
    """A state's box, an operator's label, or a bend of an edge."""

    column: int  # states in even columns, labels and bends in any
    kind: str  # "state", "label" or "bend"
    text: str = ""
    height: float = 0.0
    y: float = 0.0


@dataclass
class Route:
    """An edge: the points it passes through, by index. Without label it joins a node to the cell's output."""

    points: list[int]
    op: str | None


@dataclass
class Layout:
    """Points and routes; y grows upwards, one unit is the height of a box."""

    points: list[Point] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)

    @property
    def columns(self) -> int:
        """Number of columns."""
        return 1 + max(point.column for point in self.points)

    def crossings(self) -> int:
        """Pairs of edge pieces that cross between two columns."""
        columns = _columns(self.points)
        ranks = {index: rank for column in columns for rank, index in enumerate(column)}
        return _crossings(self.pieces(kept=1), ranks)

    def pieces(self, kept: int) -> Pieces:
        """The edges from column to column; those that carry an operator weigh ``kept``, the others 1."""
        pieces: Pieces = defaultdict(list)
        for route in self.routes:
            weight = 1 if route.op is None else kept
            for one, other in pairwise(route.points):
                pieces[self.points[one].column].append((one, other, weight))
        return pieces


def state_name(number: int, inputs: int) -> str:
    """What a state is called in pictures: c[k-2], c[k-1] are the cells before, nodes are counted from 0. Where a cell
    has one input states have the numbers of NAS-Bench-201's notation."""
    if inputs == 1:
        return str(number)
    return f"c[k-{inputs - number}]" if number < inputs else str(number - inputs)


def arrange(cell: Cell, output: bool = True) -> Layout:
    """The layout of one cell; the same for the same cell, always. ``output``: with the cell's output, c[k]."""
    layout = Layout()
    depth = _depths(cell)
    states = {}
    for state in sorted(depth):
        states[state] = len(layout.points)
        layout.points.append(Point(2 * depth[state], "state", state_name(state, cell.inputs), 1.0))
    for edge in cell.edges:
        _route(layout, states[edge.input], states[edge.node], edge.op)
    if output:
        end = len(layout.points)
        layout.points.append(Point(2 * (max(depth.values()) + 1), "state", "c[k]", 1.0))
        for node in cell.outputs:
            _route(layout, states[node], end, None)
    _order(layout)
    _straighten(layout)
    return layout


def _depths(cell: Cell) -> dict[int, int]:
    """Column of each state: after everything it reads."""
    depth = dict.fromkeys(range(cell.inputs), 0)
    for node in range(cell.inputs, cell.inputs + cell.nodes):
        depth[node] = 1 + max(depth[edge.input] for edge in cell.edges if edge.node == node)
    return depth


def _route(layout: Layout, start: int, end: int, op: str | None) -> None:
    first, last = layout.points[start].column, layout.points[end].column
    passed = [start]
    for column in range(first + 1, last):
        # A label stands right before the state it leads into: there it is plain which operator belongs to which arrow.
        labelled = op is not None and column == last - 1
        passed.append(len(layout.points))
        layout.points.append(Point(column, "label", op or "", 0.8) if labelled else Point(column, "bend", "", 0.3))
    layout.routes.append(Route([*passed, end], op))


def _columns(points: list[Point]) -> list[list[int]]:
    """Point indices by column, from top to bottom."""
    columns: list[list[int]] = [[] for _ in range(1 + max(point.column for point in points))]
    for index in sorted(range(len(points)), key=lambda index: -points[index].y):
        columns[points[index].column].append(index)
    return columns


def _crossings(pieces: Pieces, ranks: dict[int, int]) -> int:
    """Each crossing counts with the product of the two weights."""
    count = 0
    for column in pieces.values():
        ends = [(ranks[one], ranks[other], weight) for one, other, weight in column]
        for position, (a, b, weight) in enumerate(ends):
            count += weight * sum(other for c, d, other in ends[position + 1 :] if (a - c) * (b - d) < 0)
    return count


def _order(layout: Layout) -> None:
    """Orders the points of each column for few crossings: from several starts, barycentre sweeps, then swaps of
    neighbours while they help; the best is kept, as ``y`` = -rank."""
    pieces = layout.pieces(KEPT)
    before: dict[int, list[int]] = defaultdict(list)
    after: dict[int, list[int]] = defaultdict(list)
    for ends in pieces.values():
        for one, other, _ in ends:
            after[one].append(other)
            before[other].append(one)
    shuffle = random.Random(0)
    best: tuple[int, dict[int, int]] | None = None
    for _ in range(ROUNDS):
        columns = _columns(layout.points)
        if best is not None:
            for column in columns:
                shuffle.shuffle(column)
        ranks = {index: rank for column in columns for rank, index in enumerate(column)}
        for sweep in range(8):
            neighbours = before if sweep % 2 == 0 else after
            for column in columns if sweep % 2 == 0 else columns[::-1]:
                middle = {
                    index: sum(ranks[other] for other in neighbours[index]) / len(neighbours[index])
                    if neighbours[index]
                    else float(ranks[index])
                    for index in column
                }
                column.sort(key=lambda index: (middle[index], ranks[index]))
                ranks.update((index, rank) for rank, index in enumerate(column))
        count = _swap(columns, pieces, ranks)
        if best is None or count < best[0]:
            best = count, dict(ranks)
        if count == 0:
            break
    assert best is not None
    for index, rank in best[1].items():
        layout.points[index].y = -float(rank)


def _swap(columns: list[list[int]], pieces: Pieces, ranks: dict[int, int]) -> int:
    count, improved = _crossings(pieces, ranks), True
    while improved:
        improved = False
        for number, column in enumerate(columns):
            near = {key: pieces[key] for key in (number - 1, number) if key in pieces}
            for upper in range(len(column) - 1):
                one, other = column[upper], column[upper + 1]
                old = _crossings(near, ranks)
                ranks[one], ranks[other] = ranks[other], ranks[one]
                new = _crossings(near, ranks)
                if new < old:
                    column[upper], column[upper + 1] = other, one
                    count, improved = count - old + new, True
                else:
                    ranks[one], ranks[other] = ranks[other], ranks[one]
    return count


def _straighten(layout: Layout) -> None:
    """Moves points towards the mean of their neighbours, column by column, keeping order and distances."""
    points, columns = layout.points, _columns(layout.points)
    near: dict[int, list[int]] = defaultdict(list)
    for route in layout.routes:
        for one, other in pairwise(route.points):
            # Bends pull more than boxes do: long edges should run straight.
            weight = 1 + (points[one].kind == "bend") + (points[other].kind == "bend")
            near[one] += [other] * weight
            near[other] += [one] * weight
    for column in columns:
        _place(points, column, [0.0] * len(column))
    for sweep in range(60):
        for column in columns if sweep % 2 == 0 else columns[::-1]:
            wanted = [sum(points[other].y for other in near[index]) / len(near[index]) for index in column]
            _place(points, column, wanted)


def _place(points: list[Point], column: list[int], wanted: list[float]) -> None:
    """The heights nearest to ``wanted`` (least squares) that keep the distances: pooling of adjacent violators."""
    offsets = [0.0]
    for upper, lower in pairwise(column):
        offsets.append(offsets[-1] + (points[upper].height + points[lower].height) / 2 + 0.25)
    pools: list[list[float]] = []  # [sum, count]: means must fall from top to bottom
    for target, offset in zip(wanted, offsets, strict=True):
        pools.append([target + offset, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] < pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += count
    heights = [total / count for total, count in pools for _ in range(int(count))]
    for index, height, offset in zip(column, heights, offsets, strict=True):
        points[index].y = height - offset

"""Found architectures: the rule that reads them off the softmax weights, and their JSON file.

The file is data alone: ``{"space": "darts", "cells": [{"edges": [{"node": 2, "input": 0, "op": "sep_conv_3x3"}, ...],
"reduction": false}, ...]}``. It is read with ``json`` and checked key by key; nothing in it is ever evaluated.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amended_darts.errors import InputError
from amended_darts.files import parse_json, read_json, write_text
from amended_darts.spaces import INPUTS, OPERATORS, SPACES, Space


@dataclass(frozen=True)
class Edge:
    """Operator ``op`` from state ``input`` to state ``node``; states 0 and 1 are the cell's inputs."""

    node: int
    input: int
    op: str


@dataclass(frozen=True)
class Cell:
    """One cell: the edges its nodes keep, and whether it halves the image."""

    edges: tuple[Edge, ...]
    reduction: bool

    @property
    def nodes(self) -> int:
        """Number of computed states."""
        return max(edge.node for edge in self.edges) - INPUTS + 1


@dataclass(frozen=True)
class Genotype:
    """A found architecture. ``cells``: normal and reduction where cells share, else one per cell of the network."""

    space: str
    cells: tuple[Cell, ...]

    def operator_counts(self) -> dict[str, int]:
        """How many kept edges carry each operator, over all cells, most frequent first."""
        return dict(Counter(edge.op for cell in self.cells for edge in cell.edges).most_common())

    def to_json(self) -> str:
        """The file's text, one edge a line."""
        cells = []
        for cell in self.cells:
            edges = ",\n".join(
                f'        {{"node": {edge.node}, "input": {edge.input}, "op": {json.dumps(edge.op)}}}'
                for edge in cell.edges
            )
            reduction = json.dumps(cell.reduction)
            cells.append(f'    {{\n      "edges": [\n{edges}\n      ],\n      "reduction": {reduction}\n    }}')
        return f'{{\n  "space": {json.dumps(self.space)},\n  "cells": [\n' + ",\n".join(cells) + "\n  ]\n}\n"

    def save(self, path: Path) -> None:
        """Writes the JSON file atomically."""
        write_text(path, self.to_json())

    @classmethod
    def from_json(cls, text: str, source: str = "genotype") -> Genotype:
        """Reads and checks a genotype's text.

        Raises:
            InputError: one sentence with ``source``, the JSON path of the fault, what was expected and what came.
        """
        return _Reader(source).genotype(parse_json(text, source))

    @classmethod
    def load(cls, path: Path) -> Genotype:
        """``from_json`` for a file."""
        return _Reader(str(path)).genotype(read_json(path, "genotype"))


def derive(space: Space, cells: int, weights: Sequence[Sequence[Sequence[float]]]) -> Genotype:
    """The genotype by the softmax rule (DARTS, arXiv 1806.09055 section 2.4).

    Each node keeps the ``space.kept`` edges with the largest softmax weight over operators other than none, each with
    the operator that has it. Of equal weights the earlier input, the earlier operator wins.

    Args:
        weights: softmax weights, group by group of ``space.groups(cells)``: one row per edge, one number per candidate.
    """
    found = []
    for group, rows in zip(space.groups(cells), weights, strict=True):
        best: dict[int, list[tuple[float, Edge]]] = {}
        for (node, source), candidates, row in zip(space.edges, group.candidates, rows, strict=True):
            weight, op = max(
                ((weight, op) for op, weight in zip(candidates, row, strict=False) if op != "none"),
                key=lambda pair: pair[0],
            )
            best.setdefault(node, []).append((weight, Edge(node, source, op)))
        kept: list[Edge] = []
        for incoming in best.values():
            incoming.sort(key=lambda pair: -pair[0])  # stable: equal weights stay in the order of inputs
            kept += sorted((edge for _, edge in incoming[: space.kept]), key=lambda edge: edge.input)
        found.append(Cell(tuple(kept), group.reduction))
    return Genotype(space.name, tuple(found))


def _show(value: Any) -> str:
    """A JSON value as it stands in the file, cut where it is long."""
    shown = json.dumps(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


class _Reader:
    """Turns parsed JSON into a Genotype, keeping the JSON path for errors."""

    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, path: str, expected: str, came: str) -> InputError:
        return InputError(f"{self.source}: {path}: expected {expected}, got {came}")

    def keys(self, value: Any, path: str, expected: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
        listed = ", ".join(f'"{key}"' for key in expected)
        if not isinstance(value, dict):
            raise self.fail(path, f"an object with {listed}", _show(value))
        for key in expected:
            if key not in value:
                raise self.fail(path, f'the key "{key}"', "an object without it")
        for key in value:
            if key not in expected + optional:
                raise self.fail(path, f"the keys {listed} alone", _show(key))
        return value

    def items(self, value: Any, path: str, expected: str) -> list[Any]:
        if not isinstance(value, list) or not value:
            raise self.fail(path, f"a list of {expected}, one at least", _show(value))
        return value

    def integer(self, value: Any, path: str, low: int, high: int, what: str) -> int:
        if type(value) is not int or not low <= value <= high:  # bool is an int, and no state's number
            raise self.fail(path, f"{what}, an integer from {low} to {high}", _show(value))
        return value

    def genotype(self, value: Any) -> Genotype:
        # "string" is NAS-Bench-201's own notation beside the cells; the cells are what counts.
        found = self.keys(value, "$", ("space", "cells"), optional=("string",))
        if not isinstance(found["space"], str) or not found["space"]:
            raise self.fail("$.space", "the name of a search space", _show(found["space"]))
        cells = self.items(found["cells"], "$.cells", "cells")
        genotype = Genotype(
            found["space"], tuple(self.cell(cell, f"$.cells[{index}]") for index, cell in enumerate(cells))
        )
        if genotype.space in SPACES:
            self.check(genotype, SPACES[genotype.space])
        return genotype

    def cell(self, value: Any, path: str) -> Cell:
        found = self.keys(value, path, ("edges", "reduction"))
        if not isinstance(found["reduction"], bool):
            raise self.fail(f"{path}.reduction", "true or false", _show(found["reduction"]))
        values = self.items(found["edges"], f"{path}.edges", "edges")
        # A cell whose nodes all have an edge has no more nodes than edges: this bounds every number read.
        last = INPUTS + len(values) - 1
        edges: list[Edge] = []
        for index, edge in enumerate(values):
            edges.append(self.edge(edge, f"{path}.edges[{index}]", last))
            if any((edges[-1].node, edges[-1].input) == (edge.node, edge.input) for edge in edges[:-1]):
                pair = f"a second edge from {edges[-1].input} to {edges[-1].node}"
                raise self.fail(f"{path}.edges[{index}]", "each pair of states once", pair)
        present = {edge.node for edge in edges}
        for node in range(INPUTS, max(present)):
            if node not in present:
                raise self.fail(f"{path}.edges", f"an edge into every node up to {max(present)}", f"none into {node}")
        return Cell(tuple(edges), found["reduction"])

    def edge(self, value: Any, path: str, last: int) -> Edge:
        found = self.keys(value, path, ("node", "input", "op"))
        node = self.integer(found["node"], f"{path}.node", INPUTS, last, "a node")
        source = self.integer(found["input"], f"{path}.input", 0, node - 1, "an earlier state")
        if not isinstance(found["op"], str) or found["op"] not in OPERATORS:
            raise self.fail(f"{path}.op", f"one of {', '.join(OPERATORS)}", _show(found["op"]))
        return Edge(node, source, found["op"])

    def check(self, genotype: Genotype, space: Space) -> None:
        """Against the space that the file names."""
        groups = space.groups(len(genotype.cells))
        if len(genotype.cells) != len(groups):
            found = f"{len(genotype.cells)}"
            raise self.fail("$.cells", f"{len(groups)} cells for the space {space.name}", found)
        for index, (cell, group) in enumerate(zip(genotype.cells, groups, strict=True)):
            path = f"$.cells[{index}]"
            if cell.reduction != group.reduction:
                raise self.fail(
                    f"{path}.reduction", json.dumps(group.reduction) + f" in {space.name}", _show(cell.reduction)
                )
            if cell.nodes != space.nodes:
                raise self.fail(f"{path}.edges", f"{space.nodes} nodes for {space.name}", f"{cell.nodes}")
            for node, count in sorted(Counter(edge.node for edge in cell.edges).items()):
                if count != min(space.kept, node):
                    raise self.fail(f"{path}.edges", f"{space.kept} edges into node {node}", f"{count}")
            allowed = dict(zip(space.edges, group.candidates, strict=True))
            for position, edge in enumerate(cell.edges):
                names = [name for name in allowed[edge.node, edge.input] if name != "none"]
                if edge.op not in names:
                    raise self.fail(f"{path}.edges[{position}].op", f"one of {', '.join(names)}", _show(edge.op))

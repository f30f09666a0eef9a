"""Found architectures: the rule that reads them off the softmax weights, and their JSON file.

The file is data alone: ``{"space": "darts", "cells": [{"edges": [{"node": 2, "input": 0, "op": "sep_conv_3x3"}, ...],
"reduction": false}, ...]}``; for NAS-Bench-201 also ``"string"`` in the benchmark's own notation, for a space of the
user's own also ``"definition"``, that space. It is read with ``json`` and checked key by key (``genotype_reader``);
nothing in it is ever evaluated.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from amended_darts.files import parse_json, read_json, write_text
from amended_darts.spaces import INPUTS, SPACES, Space, space_to_json

Topology = Sequence[Collection[tuple[int, int]]]
"""For each group of cells the edges (node, input) that are there."""


@dataclass(frozen=True)
class Edge:
    """Operator ``op`` from state ``input`` to state ``node``; the lowest states are the cell's inputs."""

    node: int
    input: int
    op: str


@dataclass(frozen=True)
class Cell:
    """One cell: the edges its nodes keep, whether it halves the image, and how many states it is given."""

    edges: tuple[Edge, ...]
    reduction: bool
    inputs: int = INPUTS

    @property
    def nodes(self) -> int:
        """Number of computed states."""
        return max(edge.node for edge in self.edges) - self.inputs + 1

    @property
    def outputs(self) -> tuple[int, ...]:
        """The states that make the cell's output: all computed ones; the last where a cell has one input
        (NAS-Bench-201)."""
        last = self.inputs + self.nodes - 1
        return (last,) if self.inputs == 1 else tuple(range(self.inputs, last + 1))


@dataclass(frozen=True)
class Genotype:
    """A found architecture.

    Attributes:
        space: name of the space.
        cells: normal and reduction where cells share, else one per cell of the network.
        own_space: the space itself, where it is not one of the package's; None too where nobody knows it.
    """

    space: str
    cells: tuple[Cell, ...]
    own_space: Space | None = field(default=None, repr=False)

    @property
    def definition(self) -> Space | None:
        """The space it was found in, if that is known."""
        return self.own_space or SPACES.get(self.space)

    def operator_counts(self) -> dict[str, int]:
        """How many kept edges carry each operator, over all cells, most frequent first."""
        return dict(Counter(edge.op for cell in self.cells for edge in cell.edges).most_common())

    def to_json(self) -> str:
        """The file's text, one edge a line."""
        from amended_darts.nasbench201 import cell_string

        cells = []
        for cell in self.cells:
            edges = ",\n".join(
                f'        {{"node": {edge.node}, "input": {edge.input}, "op": {json.dumps(edge.op)}}}'
                for edge in cell.edges
            )
            reduction = json.dumps(cell.reduction)
            cells.append(f'    {{\n      "edges": [\n{edges}\n      ],\n      "reduction": {reduction}\n    }}')
        string = f'  "string": {json.dumps(cell_string(self.cells[0]))},\n' if self.has_string else ""
        own = ""
        if self.own_space is not None:
            own = f'  "definition": {space_to_json(self.own_space).rstrip()},\n'.replace("\n", "\n  ").rstrip(" ")
        head = f'{{\n  "space": {json.dumps(self.space)},\n{own}{string}  "cells": [\n'
        return head + ",\n".join(cells) + "\n  ]\n}\n"

    @property
    def has_string(self) -> bool:
        """Whether NAS-Bench-201's notation can say it: one cell of one input."""
        return len(self.cells) == 1 and self.cells[0].inputs == 1

    def save(self, path: Path) -> None:
        """Writes the JSON file atomically."""
        write_text(path, self.to_json())

    @classmethod
    def from_json(cls, text: str, source: str = "genotype", space: Space | None = None) -> Genotype:
        """Reads and checks a genotype's text, against ``space`` or the space of the package that it names.

        Raises:
            InputError: one sentence with ``source``, the JSON path of the fault, what was expected and what came.
        """
        from amended_darts.genotype_reader import GenotypeReader

        return GenotypeReader(source, space).genotype(parse_json(text, source))

    @classmethod
    def load(cls, path: Path, space: Space | None = None) -> Genotype:
        """``from_json`` for a file."""
        from amended_darts.genotype_reader import GenotypeReader

        return GenotypeReader(str(path), space).genotype(read_json(path, "genotype"))


def derive(
    space: Space, cells: int, weights: Sequence[Sequence[Sequence[float]]], topology: Topology | None = None
) -> Genotype:
    """The genotype by the softmax rule (DARTS, arXiv 1806.09055 section 2.4).

    Each node keeps the edges with the largest softmax weight over operators other than none (none too where the space
    keeps it), each with the operator that has it. Of equal weights the earlier input, the earlier operator wins.

    Args:
        weights: softmax weights, group by group of ``space.groups(cells)``: one row per edge, one number per candidate.
        topology: edges to choose from; all of the space's by default.
    """
    found = []
    for index, (group, rows) in enumerate(zip(space.groups(cells), weights, strict=True)):
        best: dict[int, list[tuple[float, Edge]]] = {}
        for (node, source), candidates, row in zip(space.edges, group.candidates, rows, strict=True):
            if topology is not None and (node, source) not in topology[index]:
                continue
            choices = space.choices(candidates)
            weight, op = max(
                ((weight, op) for op, weight in zip(candidates, row, strict=False) if op in choices),
                key=lambda pair: pair[0],
            )
            best.setdefault(node, []).append((weight, Edge(node, source, op)))
        kept: list[Edge] = []
        counts = space.kept_edges()
        for node, incoming in best.items():
            incoming.sort(key=lambda pair: -pair[0])  # stable: equal weights stay in the order of inputs
            kept += sorted((edge for _, edge in incoming[: counts[node]]), key=lambda edge: edge.input)
        found.append(Cell(tuple(kept), group.reduction, space.inputs))
    return Genotype(space.name, tuple(found), None if space.name in SPACES else space)

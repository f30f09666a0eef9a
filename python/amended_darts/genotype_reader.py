"""Turns the parsed JSON of a genotype file into a ``Genotype``, keeping the JSON path for errors."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from amended_darts.genotype import Cell, Edge, Genotype
from amended_darts.json_reader import JsonReader, show
from amended_darts.nasbench201 import cell_string
from amended_darts.spaces import INPUTS, SPACES, Space, operators
from amended_darts.spaces.files import SpaceReader


class GenotypeReader(JsonReader):
    """Reads genotypes.

    Args:
        source: what errors call the document.
        space: what it must fit; by default the space of the package that it names, if it names one.
    """

    def __init__(self, source: str, space: Space | None = None) -> None:
        super().__init__(source)
        self.space = space
        self.inputs = INPUTS

    def genotype(self, value: Any) -> Genotype:
        """Checks everything and builds the genotype."""
        found = self.keys(value, "$", ("space", "cells"), optional=("definition", "string"))
        name = self.text(found["space"], "$.space", "the name of a search space")
        if self.space is not None and name != self.space.name:
            raise self.fail("$.space", json.dumps(self.space.name), show(name))
        space = self.space or SPACES.get(name)
        own = None if name in SPACES else self.space
        if "definition" in found:
            own = SpaceReader(self.source, "$.definition", taken=tuple(SPACES)).space(found["definition"])
            if own.name != name:
                raise self.fail("$.definition.name", f"{json.dumps(name)}, as $.space says", show(own.name))
            space = self.space or own
        self.inputs = space.inputs if space else 1 if "string" in found else INPUTS
        cells = self.items(found["cells"], "$.cells", "cells")
        read = tuple(self.cell(cell, f"$.cells[{index}]") for index, cell in enumerate(cells))
        genotype = Genotype(name, read, own)
        if space is not None:
            self.check(genotype, space)
        if "string" in found:
            self.check_string(found["string"], genotype)
        return genotype

    def cell(self, value: Any, path: str) -> Cell:
        """One cell whose edges lead from earlier to later states, each pair once, into every node."""
        found = self.keys(value, path, ("edges", "reduction"))
        reduction = self.boolean(found["reduction"], f"{path}.reduction")
        values = self.items(found["edges"], f"{path}.edges", "edges")
        # A cell whose nodes all have an edge has no more nodes than edges: this bounds every number read.
        last = self.inputs + len(values) - 1
        edges: list[Edge] = []
        seen: set[tuple[int, int]] = set()
        for index, item in enumerate(values):
            edge = self.edge(item, f"{path}.edges[{index}]", last)
            if (edge.node, edge.input) in seen:
                pair = f"a second edge from {edge.input} to {edge.node}"
                raise self.fail(f"{path}.edges[{index}]", "each pair of states once", pair)
            seen.add((edge.node, edge.input))
            edges.append(edge)
        present = {edge.node for edge in edges}
        for node in range(self.inputs, max(present)):
            if node not in present:
                raise self.fail(f"{path}.edges", f"an edge into every node up to {max(present)}", f"none into {node}")
        return Cell(tuple(edges), reduction, self.inputs)

    def edge(self, value: Any, path: str, last: int) -> Edge:
        """One edge into a node up to ``last``."""
        found = self.keys(value, path, ("node", "input", "op"))
        node = self.integer(found["node"], f"{path}.node", self.inputs, last, "a node")
        source = self.integer(found["input"], f"{path}.input", 0, node - 1, "an earlier state")
        return Edge(node, source, self.one_of(found["op"], f"{path}.op", operators()))

    def check(self, genotype: Genotype, space: Space) -> None:
        """Against a space."""
        groups = space.groups(len(genotype.cells))
        if len(genotype.cells) != len(groups):
            found = f"{len(genotype.cells)}"
            raise self.fail("$.cells", f"{len(groups)} cells for the space {space.name}", found)
        for index, (cell, group) in enumerate(zip(genotype.cells, groups, strict=True)):
            path = f"$.cells[{index}]"
            if cell.reduction != group.reduction:
                raise self.fail(
                    f"{path}.reduction", json.dumps(group.reduction) + f" in {space.name}", show(cell.reduction)
                )
            if cell.nodes != space.nodes:
                raise self.fail(f"{path}.edges", f"{space.nodes} nodes for {space.name}", f"{cell.nodes}")
            allowed = dict(zip(space.edges, group.candidates, strict=True))
            for position, edge in enumerate(cell.edges):
                if (edge.node, edge.input) not in allowed:
                    came = f"one from {edge.input} to {edge.node}"
                    raise self.fail(f"{path}.edges[{position}]", f"an edge of the space {space.name}", came)
                self.one_of(edge.op, f"{path}.edges[{position}].op", space.choices(allowed[edge.node, edge.input]))
            counts = Counter(edge.node for edge in cell.edges)
            for node, kept in space.kept_edges().items():
                if counts[node] != kept:
                    raise self.fail(f"{path}.edges", f"{kept} edges into node {node}", f"{counts[node]}")

    def check_string(self, value: Any, genotype: Genotype) -> None:
        """The notation says what the cell says."""
        if not genotype.has_string:
            raise self.fail("$", 'no "string" where there is more than one cell or one input', "one")
        expected = cell_string(genotype.cells[0])
        if value != expected:
            raise self.fail("$.string", f"{json.dumps(expected)}, as the cell says", show(value))

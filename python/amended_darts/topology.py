"""Which edges are there: the kept ones of a genotype, for searches that choose operators alone."""

from __future__ import annotations

from pathlib import Path

from amended_darts.errors import InputError
from amended_darts.genotype import Cell, Genotype, Topology
from amended_darts.spaces import Group, Space


def topology_of(genotype: Genotype) -> Topology:
    """The edges (node, input) of each of its cells."""
    return [frozenset((edge.node, edge.input) for edge in cell.edges) for cell in genotype.cells]


def read_topology(path: Path, space: Space, cells: int) -> Topology:
    """The edges of a genotype file, for each group of cells of a space; operators in the file do not matter.

    The file may come from another space: its cells need the inputs and nodes of this one's and edges that this one
    has. Where this space has an α for each cell, a normal and a reduction cell in the file serve all cells.

    Raises:
        InputError: the file cannot be read or does not fit; one sentence.
    """
    genotype = Genotype.load(path)
    groups = space.groups(cells)
    topology: list[frozenset[tuple[int, int]]] = []
    for index, group in enumerate(groups):
        position = _cell_for(genotype, index, group, len(groups))
        cell = None if position is None else genotype.cells[position]
        if position is None or cell is None:
            raise InputError(
                f"{path}: $.cells: expected {len(groups)} cells for the space {space.name}, or one of each type, "
                f"got {len(genotype.cells)}"
            )
        _check(cell, f"{path}: $.cells[{position}]", space)
        topology.append(frozenset((edge.node, edge.input) for edge in cell.edges))
    return topology


def _cell_for(genotype: Genotype, index: int, group: Group, count: int) -> int | None:
    """Which cell of the file serves a group."""
    cells = genotype.cells
    if len(cells) == count and cells[index].reduction == group.reduction:
        return index
    alike = [position for position, cell in enumerate(cells) if cell.reduction == group.reduction]
    return alike[0] if len(cells) <= 2 and alike else None


def _check(cell: Cell, place: str, space: Space) -> None:
    if (cell.inputs, cell.nodes) != (space.inputs, space.nodes):
        raise InputError(
            f"{place}: expected {space.inputs} inputs and {space.nodes} nodes as in the space {space.name}, "
            f"got {cell.inputs} and {cell.nodes}"
        )
    counts = dict.fromkeys(space.kept_edges(), 0)
    for position, edge in enumerate(cell.edges):
        if (edge.node, edge.input) not in space.edges:
            came = f"one from {edge.input} to {edge.node}"
            raise InputError(f"{place}.edges[{position}]: expected an edge of the space {space.name}, got {came}")
        counts[edge.node] += 1
    for node, kept in space.kept_edges().items():
        if counts[node] != kept:
            raise InputError(f"{place}.edges: expected {kept} edges into node {node}, got {counts[node]}")

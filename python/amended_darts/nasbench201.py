"""The architecture strings of NAS-Bench-201 (arXiv 2001.00326): ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.

Groups stand for nodes, separated by ``+``; ``op~i`` is the operator on the edge from state i.
"""

from __future__ import annotations

from amended_darts.errors import InputError
from amended_darts.genotype import Cell, Edge, Genotype
from amended_darts.spaces import OPERATORS, SPACES, Space, find_space

MOST_NODES = 64  # far more than anyone searches, and few enough to answer at once


def cell_string(cell: Cell) -> str:
    """A cell of one input in the notation."""
    nodes = []
    for node in range(1, 1 + cell.nodes):
        incoming = sorted((edge.input, edge.op) for edge in cell.edges if edge.node == node)
        nodes.append("|" + "|".join(f"{op}~{source}" for source, op in incoming) + "|")
    return "+".join(nodes)


def to_string(genotype: Genotype) -> str:
    """A genotype in the notation.

    Raises:
        InputError: it has more than one cell, or cells of two inputs.
    """
    if not genotype.has_string:
        raise InputError(
            f"genotype: expected one cell of one input, as in nasbench201, got {len(genotype.cells)} cells of the "
            f"space {genotype.space}"
        )
    return cell_string(genotype.cells[0])


def from_string(text: str, space: Space | None = None) -> Genotype:
    """The genotype that a string of the benchmark says; ``space``: nasbench201 by default.

    Raises:
        InputError: the text is not such a string; one sentence that says where.
    """
    space = find_space("nasbench201") if space is None else space
    groups = text.strip().split("+")
    if len(groups) > MOST_NODES:
        raise InputError(f"architecture string: expected at most {MOST_NODES} nodes, got {len(groups)}")
    edges: list[Edge] = []
    for node, group in enumerate(groups, start=1):
        if len(group) < 3 or group[0] != "|" or group[-1] != "|":
            raise InputError(f"architecture string: expected |op~0|... for node {node}, got '{_cut(group)}'")
        for part in group[1:-1].split("|"):
            op, _, source = part.rpartition("~")
            if op not in OPERATORS:
                raise InputError(
                    f"architecture string: node {node}: expected one of {', '.join(OPERATORS)} before ~, "
                    f"got '{_cut(part)}'"
                )
            if source not in map(str, range(node)):
                raise InputError(
                    f"architecture string: node {node}: expected an earlier state, 0 to {node - 1}, after ~, "
                    f"got '{_cut(part)}'"
                )
            edges.append(Edge(node, int(source), op))
    edges.sort(key=lambda edge: (edge.node, edge.input))
    pairs = tuple((edge.node, edge.input) for edge in edges)
    if pairs != space.edges:
        raise InputError(
            f"architecture string: expected {len(space.edges)} edges into {space.nodes} nodes, each once, for the "
            f"space {space.name}, got {len(edges)} into {len(groups)}"
        )
    for edge, candidates in zip(edges, space.normal, strict=True):
        if edge.op not in space.choices(candidates):
            raise InputError(
                f"architecture string: node {edge.node}: expected one of {', '.join(space.choices(candidates))} from "
                f"state {edge.input}, got '{edge.op}'"
            )
    own = None if space.name in SPACES else space
    return Genotype(space.name, (Cell(tuple(edges), False, inputs=1),), own)


def _cut(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."

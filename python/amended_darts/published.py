"""Genotypes of the literature: a small table, and a reader of the text form in which they are published.

That form is the printed named tuple of the public DARTS code, ``Genotype(normal=[('sep_conv_3x3', 1), ...],
normal_concat=range(2, 6), reduce=[...], reduce_concat=range(2, 6))``: two (operator, input) pairs per node. It is taken
apart as a syntax tree of a few allowed kinds; nothing in it is evaluated.
"""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path
from typing import Any

from amended_darts.errors import InputError
from amended_darts.genotype import Cell, Edge, Genotype
from amended_darts.nasbench201 import from_string
from amended_darts.spaces import INPUTS, OPERATORS, SPACES

LONGEST = 20_000  # characters of a text that is looked at
KEPT = 2  # edges per node

PUBLISHED = {
    # DARTS, arXiv 1806.09055: first and second order
    "DARTS_V1": "Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), ('sep_conv_3x3', 1), "
    "('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 2)], normal_concat=range(2, 6), "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)], reduce_concat=range(2, 6))",
    "DARTS_V2": "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=range(2, 6), "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))",
    # P-DARTS, arXiv 1904.12760
    "P_DARTS": "Genotype(normal=[('skip_connect', 0), ('dil_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 0), ('dil_conv_5x5', 4)], normal_concat=range(2, 6), "
    "reduce=[('avg_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('dil_conv_5x5', 2), ('max_pool_3x3', 0), "
    "('dil_conv_3x3', 1), ('dil_conv_3x3', 1), ('dil_conv_5x5', 3)], reduce_concat=range(2, 6))",
    # PC-DARTS, arXiv 1907.05737: searched on CIFAR-10 and on ImageNet
    "PC_DARTS_CIFAR": "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), "
    "('dil_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('avg_pool_3x3', 0), ('dil_conv_3x3', 1)], "
    "normal_concat=range(2, 6), reduce=[('sep_conv_5x5', 1), ('max_pool_3x3', 0), ('sep_conv_5x5', 1), "
    "('sep_conv_5x5', 2), ('sep_conv_3x3', 0), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2)], "
    "reduce_concat=range(2, 6))",
    "PC_DARTS_IMAGE": "Genotype(normal=[('skip_connect', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 0), "
    "('skip_connect', 1), ('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('dil_conv_5x5', 4)], "
    "normal_concat=range(2, 6), reduce=[('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_5x5', 2), "
    "('max_pool_3x3', 1), ('sep_conv_3x3', 2), ('sep_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_3x3', 3)], "
    "reduce_concat=range(2, 6))",
    # DrNAS, arXiv 2006.10355, searched on CIFAR-10
    "DRNAS_CIFAR": "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 2), ('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2), ('dil_conv_5x5', 3)], "
    "normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), ('sep_conv_5x5', 1), ('dil_conv_5x5', 2), "
    "('sep_conv_5x5', 1), ('sep_conv_5x5', 1), ('dil_conv_5x5', 3), ('skip_connect', 4), ('sep_conv_5x5', 1)], "
    "reduce_concat=range(2, 6))",
}


def _plain(name: str) -> str:
    return name.upper().replace("_", "").replace("-", "")


# Code bases spell these names in many ways; a name without a data set or order means the better known one.
_ALIASES = {_plain(name): name for name in PUBLISHED} | {
    "DARTS": "DARTS_V2",
    "PCDARTS": "PC_DARTS_CIFAR",
    "PCDARTSIMAGENET": "PC_DARTS_IMAGE",
    "DRNAS": "DRNAS_CIFAR",
}


def find_genotype(source: str) -> Genotype:
    """The genotype that a name of the table, a file or a run's folder stands for.

    Args:
        source: a name of ``PUBLISHED``, in any case and with or without underscores (./NAME is a file or folder of that
            name); a genotype.json; a text file with the published form; a folder with a genotype.json in it; the
            published form itself; or a string of NAS-Bench-201.

    Raises:
        InputError: none of these, or one that is malformed.
    """
    name = _ALIASES.get(_plain(source), source.upper())
    if name in PUBLISHED:
        return parse_published(PUBLISHED[name], source)
    if source.lstrip().startswith("Genotype("):
        return parse_published(source)
    if source.lstrip().startswith("|"):
        return from_string(source)
    path = Path(source)
    if path.is_dir():
        path /= "genotype.json"
    if path.suffix == ".json":
        return Genotype.load(path)
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
    except (OSError, UnicodeDecodeError):
        names = ", ".join(PUBLISHED)
        raise InputError(f"genotype: expected a genotype.json, a text file or one of {names}, got '{source}'") from None
    return parse_published(text, source)


def parse_published(text: str, source: str = "genotype") -> Genotype:
    """Reads the published text form; a name and ``=`` before it are allowed.

    The space is the first of this package's that has the genotype, or "published".

    Raises:
        InputError: one sentence with ``source``, the place of the fault, what was expected and what came.
    """
    return _Text(source).genotype(text)


class _Text:
    """Turns a syntax tree into a Genotype; ``source`` and the place are kept for errors."""

    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, place: str, expected: str, came: str) -> InputError:
        came = came if len(came) <= 60 else came[:57] + "..."
        return InputError(f"{self.source}: {place}expected {expected}, got {came}")

    def genotype(self, text: str) -> Genotype:
        given = self.fields(text)
        cells = []
        for name in ("normal", "reduce"):
            edges = self.edges(given[name], name)
            nodes = list(range(INPUTS, edges[-1].node + 1))
            concat = self.concat(given[f"{name}_concat"], f"{name}_concat")
            if sorted(concat) != nodes:
                raise self.fail(f"{name}_concat: ", f"all nodes, {nodes}", str(concat))
            cells.append(Cell(tuple(sorted(edges, key=lambda edge: (edge.node, edge.input))), name == "reduce"))
        return Genotype(_space(cells), tuple(cells))

    def fields(self, text: str) -> dict[str, ast.expr]:
        """The four arguments."""
        expected = "Genotype(normal=..., normal_concat=..., reduce=..., reduce_concat=...)"
        if len(text) > LONGEST:
            raise self.fail("", expected, f"more than {LONGEST} characters")
        try:
            body = ast.parse(text.strip()).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self.fail("", expected, repr(text.strip())) from None
        call = body[0].value if len(body) == 1 and isinstance(body[0], ast.Assign | ast.Expr) else None
        names = ("normal", "normal_concat", "reduce", "reduce_concat")
        if not (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id == "Genotype"
            and not call.args
            and sorted(keyword.arg or "" for keyword in call.keywords) == sorted(names)
        ):
            raise self.fail("", expected, repr(text.strip()))
        return {str(keyword.arg): keyword.value for keyword in call.keywords}

    def edges(self, tree: ast.expr, name: str) -> list[Edge]:
        pairs = self.items(tree, f"{name}: ", "a list of (operator, input) pairs")
        if not pairs or len(pairs) % KEPT:
            raise self.fail(f"{name}: ", f"{KEPT} (operator, input) pairs for every node", f"{len(pairs)}")
        edges = []
        for index, pair in enumerate(pairs):
            place, node = f"{name}[{index}]: ", INPUTS + index // KEPT
            parts = self.items(pair, place, "an (operator, input) pair")
            values: list[Any] = [part.value if isinstance(part, ast.Constant) else None for part in parts]
            if len(values) != 2:
                raise self.fail(place, "an (operator, input) pair", ast.unparse(pair))
            op, source = values
            if not isinstance(op, str) or op not in OPERATORS:
                raise self.fail(place, f"one of {', '.join(OPERATORS)}", ast.unparse(parts[0]))
            if not _whole(source) or not 0 <= source < node:
                raise self.fail(place, f"an input from 0 to {node - 1}", ast.unparse(parts[1]))
            edges.append(Edge(node, source, op))
        for one, other in pairwise(sorted(edges, key=lambda edge: (edge.node, edge.input))):
            if (one.node, one.input) == (other.node, other.input):
                raise self.fail(f"{name}: ", "two different inputs of each node", f"{one.input} twice for {one.node}")
        return edges

    def concat(self, tree: ast.expr, name: str) -> list[int]:
        """``range(a, b)`` or a list of integers."""
        expected = "range(...) or a list of nodes"
        called = isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "range"
        if isinstance(tree, ast.Call) and (not called or tree.keywords):
            raise self.fail(f"{name}: ", expected, ast.unparse(tree))
        parts = tree.args if isinstance(tree, ast.Call) else self.items(tree, f"{name}: ", expected)
        values: list[Any] = [part.value if isinstance(part, ast.Constant) else None for part in parts]
        # Nodes are few: an input that counts to billions must cost nothing.
        if not all(_whole(value) and 0 <= value < LONGEST for value in values) or (called and len(values) != 2):
            raise self.fail(f"{name}: ", expected, ast.unparse(tree))
        return list(range(*values)) if called else values

    def items(self, tree: ast.expr, place: str, expected: str) -> list[ast.expr]:
        if not isinstance(tree, ast.List | ast.Tuple):
            raise self.fail(place, expected, ast.unparse(tree))
        return tree.elts


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _space(cells: list[Cell]) -> str:
    """The first shared space that has these cells."""
    for space in SPACES.values():
        if not space.shared or space.kept != KEPT or any(cell.nodes != space.nodes for cell in cells):
            continue
        kinds = space.normal, space.reduction
        allowed = [dict(zip(space.edges, map(space.choices, kind), strict=True)) for kind in kinds]
        if all(
            edge.op in names.get((edge.node, edge.input), ())
            for cell, names in zip(cells, allowed, strict=True)
            for edge in cell.edges
        ):
            return space.name
    return "published"

"""Search spaces as data.

A cell takes two inputs (states 0 and 1) and computes ``nodes`` states more (2, 3, ...); every state feeds every later
one through a mixed operation, and each node keeps ``kept`` of its edges, one operator on each (method: DARTS, arXiv
1806.09055 section 2; arXiv 1910.11831 section 4 for s2). Adding a space is adding an entry to ``SPACES``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import prod

from amended_darts.errors import InputError

OPERATORS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "nor_conv_1x1",
    "nor_conv_3x3",
)
"""Every operator an edge may carry, by the names of the operator library."""

Candidates = tuple[str, ...]
INPUTS = 2  # states that a cell is given


@dataclass(frozen=True)
class Group:
    """Cells that share their architecture, and so one α: all normal cells, all reduction cells, or one cell alone."""

    name: str
    reduction: bool
    candidates: tuple[Candidates, ...]  # one tuple per edge


@dataclass(frozen=True)
class Space:
    """A search space. Edges are ordered by node, then by input: (2, 0), (2, 1), (3, 0), (3, 1), (3, 2), ...

    Attributes:
        name: what ``--space`` and the genotype file call it.
        nodes: computed states per cell.
        normal, reduction: candidate operators of each edge, for the two types of cells.
        shared: one α for all cells of a type; otherwise every cell has its own.
        cells, channels: defaults of the super-network (channels: of the first cell).
        kept: edges that each node keeps in the found architecture.
        reductions: where the stride-2 cells are, as fractions of the depth (numerator, denominator), rounded down.
    """

    name: str
    nodes: int
    normal: tuple[Candidates, ...]
    reduction: tuple[Candidates, ...]
    shared: bool = True
    cells: int = 8
    channels: int = 16
    kept: int = 2
    reductions: tuple[tuple[int, int], ...] = ((1, 3), (2, 3))

    def __post_init__(self) -> None:
        for kind, candidates in (("normal", self.normal), ("reduction", self.reduction)):
            if len(candidates) != len(self.edges):
                raise InputError(
                    f"space {self.name}: {kind} cells of {self.nodes} nodes have {len(self.edges)} edges, "
                    f"got candidates for {len(candidates)}"
                )
            for edge, names in zip(self.edges, candidates, strict=True):
                unknown = [name for name in names if name not in OPERATORS]
                if unknown or len(set(names)) != len(names) or not set(names) - {"none"}:
                    raise InputError(
                        f"space {self.name}: the {kind} edge {edge} expects distinct operators of "
                        f"{', '.join(OPERATORS)}, one at least not none; got {', '.join(names) or 'nothing'}"
                    )

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(node, input) of every edge, nodes counted from 2."""
        return tuple((node, source) for node in range(INPUTS, INPUTS + self.nodes) for source in range(node))

    def reduction_cells(self, cells: int) -> tuple[int, ...]:
        """Indices of the stride-2 cells in a network of ``cells`` cells."""
        return tuple(sorted({cells * part // whole for part, whole in self.reductions}))

    def groups(self, cells: int) -> tuple[Group, ...]:
        """The architectures to be found, in the order of the genotype's cells."""
        if self.shared:
            return Group("normal", False, self.normal), Group("reduction", True, self.reduction)
        reductions = self.reduction_cells(cells)
        return tuple(
            Group(f"cell {index}", index in reductions, self.reduction if index in reductions else self.normal)
            for index in range(cells)
        )

    def group_of(self, cell: int, cells: int) -> int:
        """Which group cell number ``cell`` belongs to."""
        return int(cell in self.reduction_cells(cells)) if self.shared else cell

    def size(self, cells: int | None = None) -> int:
        """Exact number of architectures: which edges each node keeps times which operator (none aside) each carries."""
        return prod(self._group_size(group) for group in self.groups(cells or self.cells))

    def _group_size(self, group: Group) -> int:
        choices = [len(set(names) - {"none"}) for names in group.candidates]
        size = 1
        for node in range(INPUTS, INPUTS + self.nodes):
            incoming = [count for (target, _), count in zip(self.edges, choices, strict=True) if target == node]
            size *= _choose(incoming, min(self.kept, node))
        return size


def _choose(counts: list[int], kept: int) -> int:
    """Sum over all ways to keep ``kept`` edges of the product of their operator counts."""
    ways = [1] + [0] * kept
    for count in counts:
        for taken in range(kept, 0, -1):
            ways[taken] += ways[taken - 1] * count
    return ways[kept]


def uniform(nodes: int, candidates: Iterable[str]) -> tuple[Candidates, ...]:
    """The same candidates on every edge of a cell."""
    return (tuple(candidates),) * sum(range(INPUTS, INPUTS + nodes))


_DARTS8 = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
_S2 = ("skip_connect", "sep_conv_3x3")

SPACES: dict[str, Space] = {
    space.name: space
    for space in (
        Space("darts", 4, normal=uniform(4, _DARTS8[1:]), reduction=uniform(4, _DARTS8[1:])),
        Space("darts8", 4, normal=uniform(4, _DARTS8), reduction=uniform(4, _DARTS8)),
        Space("s2", 4, normal=uniform(4, _S2), reduction=uniform(4, _S2), shared=False, cells=20),
    )
}


def find_space(name: str) -> Space:
    """The space of that name.

    Raises:
        InputError: there is none; lists those there are.
    """
    if name not in SPACES:
        raise InputError(f"--space: expected one of {', '.join(SPACES)}, got '{name}'")
    return SPACES[name]

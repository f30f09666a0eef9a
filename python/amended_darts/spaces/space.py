"""What a search space is.

A cell is given its inputs (states 0, 1, ...) and computes ``nodes`` states more; edges lead from states to later ones
through a mixed operation, and each node keeps ``kept`` of its edges, one operator on each (DARTS, arXiv 1806.09055
section 2; arXiv 1910.11831 section 4 for s2; NAS-Bench-201, arXiv 2001.00326 section 2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from amended_darts.errors import InputError

if TYPE_CHECKING:
    from torch import nn

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
    "noise",
)
"""Every operator an edge may carry: those of the operator library, and ``noise`` (``amended_darts.noise``)."""

CUSTOM: dict[str, Callable[[int, int], nn.Module]] = {}
"""Operators of one's own, each a function of (channels, stride); ``amended_darts.register_candidate`` adds them."""

Candidates = tuple[str, ...]
Edges = tuple[tuple[int, int], ...]  # (node, input)

SKELETONS = {"darts": 2, "nasbench201": 1}
"""How cells make a network, and the inputs that a cell has there.

``darts``: cells read the two cells before them and concatenate their nodes; reduction cells have stride 2.
``nasbench201``: cells read the one before them and give their last node; residual blocks halve the image.
"""

INPUTS = SKELETONS["darts"]  # states that a cell of the DARTS skeleton is given


def operators() -> tuple[str, ...]:
    """All operators there are at the moment."""
    return (*OPERATORS, *CUSTOM)


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
        normal, reduction: candidate operators of each edge, for the two types of cells; no ``reduction`` where the
            skeleton has no cells of that type.
        shared: one α for all cells of a type; otherwise every cell has its own.
        cells, channels: defaults of the super-network (channels: of the first cell).
        kept: edges that each node keeps in the found architecture; None for all.
        reductions: where the image is halved, as fractions of the depth (numerator, denominator), rounded down.
        edges: (node, input) of every edge, nodes counted from ``inputs``; by default all from earlier states.
        skeleton: how cells make a network, one of ``SKELETONS``.
        keep_none: ``none`` may stand in a found architecture, as in NAS-Bench-201.
        pool_norm: BN after pools in the super-network.
    """

    name: str
    nodes: int
    normal: tuple[Candidates, ...]
    reduction: tuple[Candidates, ...] = ()
    shared: bool = True
    cells: int = 8
    channels: int = 16
    kept: int | None = 2
    reductions: tuple[tuple[int, int], ...] = ((1, 3), (2, 3))
    edges: Edges = ()
    skeleton: str = "darts"
    keep_none: bool = False
    pool_norm: bool = True

    def __post_init__(self) -> None:
        if self.skeleton not in SKELETONS:
            raise self._wrong(f"the skeleton expects one of {', '.join(SKELETONS)}", self.skeleton)
        if self.nodes < 1 or (self.kept is not None and self.kept < 1):
            raise self._wrong("nodes and kept expect at least 1", f"{self.nodes} and {self.kept}")
        states = range(self.inputs, self.inputs + self.nodes)
        complete = tuple((node, source) for node in states for source in range(node))
        if not self.edges:
            object.__setattr__(self, "edges", complete)
        if sorted(set(self.edges)) != list(self.edges) or not set(self.edges) <= set(complete):
            raise self._wrong(
                "edges expect pairs (node, earlier state), each once, ordered by node, then by input", f"{self.edges}"
            )
        if {node for node, _ in self.edges} != set(states):
            raise self._wrong(f"edges expect one at least into each node from {states[0]} to {states[-1]}", "none")
        kinds = {"normal": self.normal, "reduction": self.reduction}
        if not self.two_types:
            if self.reduction:
                raise self._wrong("a space without reduction cells expects no candidates for them", "some")
            del kinds["reduction"]
        for kind, candidates in kinds.items():
            self._check_candidates(kind, candidates)

    def _wrong(self, expected: str, came: str) -> InputError:
        return InputError(f"space {self.name}: {expected}, got {came}")

    def _check_candidates(self, kind: str, candidates: tuple[Candidates, ...]) -> None:
        if len(candidates) != len(self.edges):
            raise InputError(
                f"space {self.name}: {kind} cells of {self.nodes} nodes have {len(self.edges)} edges, "
                f"got candidates for {len(candidates)}"
            )
        for edge, names in zip(self.edges, candidates, strict=True):
            unknown = [name for name in names if name not in operators()]
            if unknown or len(set(names)) != len(names) or not set(names) - {"none"}:
                raise InputError(
                    f"space {self.name}: the {kind} edge {edge} expects distinct operators of "
                    f"{', '.join(operators())}, one at least not none; got {', '.join(names) or 'nothing'}"
                )

    @property
    def two_types(self) -> bool:
        """Whether there are reduction cells, with an architecture of their own, beside the normal ones."""
        return self.skeleton == "darts" and len(self.reductions) > 0

    @property
    def inputs(self) -> int:
        """States that a cell is given."""
        return SKELETONS[self.skeleton]

    def kept_edges(self) -> dict[int, int]:
        """How many edges each node keeps."""
        incoming = Counter(node for node, _ in self.edges)
        return {node: count if self.kept is None else min(self.kept, count) for node, count in incoming.items()}

    def choices(self, names: Candidates) -> Candidates:
        """Those of an edge's candidates that a found architecture may carry."""
        return names if self.keep_none else tuple(name for name in names if name != "none")

    def reduction_cells(self, cells: int) -> tuple[int, ...]:
        """Indices of the stride-2 cells in a network of ``cells`` cells (nasbench201: of the cells that follow the
        residual blocks)."""
        return tuple(sorted({cells * part // whole for part, whole in self.reductions}))

    def groups(self, cells: int) -> tuple[Group, ...]:
        """The architectures to be found, in the order of the genotype's cells."""
        if self.shared and not self.two_types:
            return (Group("cell", False, self.normal),)
        if self.shared:
            return Group("normal", False, self.normal), Group("reduction", True, self.reduction)
        reductions = self.reduction_cells(cells) if self.two_types else ()
        return tuple(
            Group(f"cell {index}", index in reductions, self.reduction if index in reductions else self.normal)
            for index in range(cells)
        )

    def group_of(self, cell: int, cells: int) -> int:
        """Which group cell number ``cell`` belongs to."""
        if not self.shared:
            return cell
        return int(self.two_types and cell in self.reduction_cells(cells))

    def size(self, cells: int | None = None) -> int:
        """Exact number of architectures: which edges each node keeps times which operator each of them carries."""
        return prod(self._group_size(group) for group in self.groups(cells or self.cells))

    def _group_size(self, group: Group) -> int:
        counts = [len(self.choices(names)) for names in group.candidates]
        size = 1
        for node, kept in self.kept_edges().items():
            incoming = [count for (target, _), count in zip(self.edges, counts, strict=True) if target == node]
            size *= _choose(incoming, kept)
        return size


def _choose(counts: list[int], kept: int) -> int:
    """Sum over all ways to keep ``kept`` edges of the product of their operator counts."""
    ways = [1] + [0] * kept
    for count in counts:
        for taken in range(kept, 0, -1):
            ways[taken] += ways[taken - 1] * count
    return ways[kept]


def uniform(nodes: int, candidates: Iterable[str], inputs: int = INPUTS) -> tuple[Candidates, ...]:
    """The same candidates on every edge of a cell."""
    return (tuple(candidates),) * sum(range(inputs, inputs + nodes))

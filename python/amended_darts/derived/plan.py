"""Which cell of a genotype stands where in a network of a given depth."""

from __future__ import annotations

from dataclasses import dataclass

from amended_darts.errors import InputError
from amended_darts.genotype import Cell, Genotype
from amended_darts.spaces import check_cells
from amended_darts.spaces.depth import DEEPEST

THIRDS = ((1, 3), (2, 3))


@dataclass(frozen=True)
class Plan:
    """The cells of a network from the first to the last.

    Attributes:
        cells: as the genotype has them.
        halved: indices of the cells at which the image is halved: reduction cells, or those after a residual block.
    """

    cells: tuple[Cell, ...]
    halved: tuple[int, ...]


def repeats(genotype: Genotype) -> bool:
    """Whether the cells of the genotype are shared by a network of any depth, or are one for each place."""
    space = genotype.definition
    if space is not None:
        return space.shared
    if len(genotype.cells) == 1:
        return genotype.cells[0].inputs == 1
    return [cell.reduction for cell in genotype.cells] == [False, True]


def lay_out(genotype: Genotype, depth: int) -> Plan:
    """The genotype's cells in a network of ``depth`` cells.

    A normal and a reduction cell are repeated, with reductions at one and two thirds of the depth (where the space says
    so), a cell of NAS-Bench-201 with residual blocks there. A genotype with a cell for each place fixes the depth.

    Raises:
        InputError: a depth that the genotype does not have, or one at which a part of it would not occur.
    """
    space = genotype.definition
    if not repeats(genotype) and depth != len(genotype.cells):
        raise InputError(f"--cells: expected {len(genotype.cells)}, the cells of the genotype, got {depth}")
    if space is not None:
        check_cells(space, depth)
    halved = tuple(sorted({depth * part // whole for part, whole in (space.reductions if space else THIRDS)}))
    residual = genotype.cells[0].inputs == 1
    if not 1 <= depth <= DEEPEST or (0 in halved and residual) or not set(range(depth)) - set(halved):
        what = "one in each stage" if residual else "normal and reduction ones"
        raise InputError(f"--cells: expected enough cells for {what}, at most {DEEPEST}, got {depth}")
    if not repeats(genotype):
        reductions = tuple(index for index, cell in enumerate(genotype.cells) if cell.reduction)
        return Plan(genotype.cells, halved if residual else reductions)
    normal, reduction = genotype.cells[0], genotype.cells[-1]
    return Plan(tuple(reduction if index in halved else normal for index in range(depth)), halved)

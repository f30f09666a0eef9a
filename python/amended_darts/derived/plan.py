"""Which cell of a genotype stands where in a network of a given depth."""

from __future__ import annotations

from amended_darts.errors import InputError
from amended_darts.genotype import Cell, Genotype
from amended_darts.spaces import SPACES


def lay_out(genotype: Genotype, cells: int | None, default: int) -> list[Cell]:
    """The genotype's cells from the first to the last of a network.

    A genotype of two cells, one of them a reduction, is repeated: its reduction stands at one and at two thirds of the
    depth (where the space says so). One with a cell of its own for each place fixes the depth.

    Args:
        cells: depth; None for ``default``, or for the genotype's own.

    Raises:
        InputError: a depth that the genotype does not have, or one at which one of its cells would occur nowhere.
    """
    space = SPACES.get(genotype.space)
    shared = space.shared if space else [cell.reduction for cell in genotype.cells] == [False, True]
    if not shared:
        own = len(genotype.cells)
        if cells not in (None, own):
            raise InputError(f"--cells: expected {own}, the cells of the genotype, got {cells}")
        return list(genotype.cells)
    depth = default if cells is None else cells
    fractions = space.reductions if space else ((1, 3), (2, 3))
    reductions = {depth * part // whole for part, whole in fractions}
    if depth < 1 or not set(range(depth)) - reductions:
        raise InputError(f"--cells: expected enough cells for normal and reduction ones, got {depth}")
    normal, reduction = genotype.cells
    return [reduction if index in reductions else normal for index in range(depth)]

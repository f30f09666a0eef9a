"""Depths at which a network shows all of its space."""

from __future__ import annotations

from amended_darts.errors import InputError
from amended_darts.spaces.space import Space

DEEPEST = 1000
"""Cells of the deepest network that is built."""


def least_cells(space: Space) -> int | None:
    """The lowest depth at which every architecture of the space, or every stage between reductions, occurs; None where
    there is none up to ``DEEPEST``."""
    return next((cells for cells in range(1, DEEPEST + 1) if complete(space, cells)), None)


def check_cells(space: Space, cells: int) -> None:
    """Refuses depths at which an architecture of the space, or a stage between reductions, would not occur.

    Raises:
        InputError: names the option --cells and the lowest depth.
    """
    if cells > DEEPEST:
        raise InputError(f"--cells: expected at most {DEEPEST}, got {cells}")
    if cells < 1 or not complete(space, cells):
        what = "type of cell" if space.skeleton == "darts" else "stage"
        raise InputError(
            f"--cells: expected at least {least_cells(space)} for the space {space.name} (each {what} once), "
            f"got {cells}"
        )


def complete(space: Space, cells: int) -> bool:
    """Whether a network of that depth has all of them."""
    if space.skeleton == "nasbench201":
        reductions = space.reduction_cells(cells)
        return len(reductions) == len(space.reductions) and 0 not in reductions
    return len({space.group_of(index, cells) for index in range(cells)}) == len(space.groups(cells))

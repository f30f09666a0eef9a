"""The search spaces that come with the package. Adding one is adding an entry to ``SPACES``."""

from __future__ import annotations

from pathlib import Path

from amended_darts.errors import InputError
from amended_darts.spaces.files import read_space
from amended_darts.spaces.space import Candidates, Space, uniform

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
_LARGE = (*_DARTS8[1:6], "sep_conv_7x7", *_DARTS8[6:])
_S2 = ("skip_connect", "sep_conv_3x3")
_NASBENCH201 = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

_SHORT = {
    "s": "skip_connect",
    "p": "sep_conv_3x3",
    "d3": "dil_conv_3x3",
    "d5": "dil_conv_5x5",
    "M": "max_pool_3x3",
    "A": "avg_pool_3x3",
}


def _edges(text: str) -> tuple[Candidates, ...]:
    """Candidates edge by edge from their short names."""
    return tuple(tuple(_SHORT[name] for name in names.split()) for names in text.split("|"))


def _cell_types(name: str, candidates: Candidates, **settings: bool | int) -> Space:
    """A DARTS cell of 4 nodes with the same candidates on every edge of both types of cells."""
    return Space(name, 4, normal=uniform(4, candidates), reduction=uniform(4, candidates), **settings)  # type: ignore[arg-type]


SPACES: dict[str, Space] = {
    space.name: space
    for space in (
        _cell_types("darts", _DARTS8[1:]),
        _cell_types("darts8", _DARTS8),
        _cell_types("s2", _S2, shared=False, cells=20),
        _cell_types("darts-large", _LARGE, shared=False, cells=20),
        # RobustDARTS, arXiv 1909.09656 section 3: S1 keeps two preset operators per edge.
        Space(
            "robust-s1",
            4,
            normal=_edges("s d3|s d5|s d5|s p|s d3|M s|s p|s p|s d3|s p|M s|s d3|d3 d5|d3 d5"),
            reduction=_edges("M A|M d3|M A|M A|s d5|M A|M p|s d3|s d5|M A|M A|s d5|s d5|s d5"),
        ),
        _cell_types("robust-s2", _S2),
        _cell_types("robust-s3", ("none", *_S2)),
        _cell_types("robust-s4", ("noise", "sep_conv_3x3")),
        Space(
            "nasbench201",
            3,
            normal=uniform(3, _NASBENCH201, inputs=1),
            cells=15,
            kept=None,
            skeleton="nasbench201",
            keep_none=True,
            pool_norm=False,
        ),
    )
}


def find_space(name: str) -> Space:
    """The space of that name, or the one in the JSON file of that name (``docs/spaces.md``).

    Raises:
        InputError: there is none; lists those there are. Or the file is not a space; names the fault.
    """
    if name in SPACES:
        return SPACES[name]
    if name.lower().endswith(".json"):
        return read_space(Path(name), taken=tuple(SPACES))
    raise InputError(f"--space: expected one of {', '.join(SPACES)} or a .json file, got '{name}'")

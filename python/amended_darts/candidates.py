"""Operators and search spaces of one's own, by name, for this process.

>>> def gated(channels, stride):
...     return nn.Sequential(nn.Conv2d(channels, 2 * channels, 3, stride, 1), nn.GLU(1))
>>> register_candidate("gated_conv_3x3", gated)
>>> edges = uniform(2, ("skip_connect", "gated_conv_3x3"))
>>> register_space(Space("mine", nodes=2, normal=edges, reduction=edges))
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from amended_darts.errors import InputError
from amended_darts.spaces.space import CUSTOM, OPERATORS, Space

if TYPE_CHECKING:
    from torch import nn


def register_candidate(name: str, factory: Callable[[int, int], nn.Module]) -> None:
    """Makes an operator that spaces may name.

    Args:
        name: lower-case letters, digits and underscores; a name that was registered before is replaced.
        factory: called with (channels, stride) for each edge; the module maps [N, C, H, W] to
            [N, C, ceil(H / stride), ceil(W / stride)]. It may hold parameters, which belong to w.

    Raises:
        InputError: a name that is not one, or is taken by an operator of the package, or no function.
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or name in OPERATORS:
        raise InputError(
            f"name: expected lower-case letters, digits and underscores, and none of the operators that there are, "
            f"got {name!r}"
        )
    if not callable(factory):
        raise InputError(f"factory: expected a function of (channels, stride), got {type(factory).__name__}")

    def make(channels: int, stride: int) -> nn.Module:
        return factory(channels, stride)

    make.__name__ = name  # what the mixed operation calls it
    CUSTOM[name] = make


def register_space(space: Space) -> None:
    """Makes a space that ``SearchConfig(space=...)`` may name; one that was registered before is replaced.

    Raises:
        InputError: its name is that of a space of the package.
    """
    from amended_darts.spaces.catalogue import SPACES

    if space.name in SPACES and space.name not in _OWN_SPACES:
        raise InputError(f"space: expected a name of its own, got {space.name}")
    _OWN_SPACES.add(space.name)
    SPACES[space.name] = space


_OWN_SPACES: set[str] = set()

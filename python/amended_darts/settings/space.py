"""What is searched, and the size of the super-network."""

from __future__ import annotations

from dataclasses import dataclass

from amended_darts.options import at_least, option


@dataclass(frozen=True)
class SpaceOptions:
    """What is searched, and the size of the super-network."""

    space: str = option("darts", "search space (amended-darts info lists them) or the JSON file of one", group="space")
    cells: int | None = option(
        None,
        "depth of the super-network",
        "cells",
        "space",
        check=at_least(1, "cell"),
        unset="the space's own; with --consistent the recipe's",
    )
    channels: int | None = option(
        None,
        "width of the first cell",
        "channels",
        "space",
        check=at_least(1, "channel"),
        unset="the space's own; with --consistent the recipe's",
    )

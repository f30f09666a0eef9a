"""Settings of a super-network beyond its space: those in which a search usually differs from the re-training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amended_darts.options import Check, at_least, not_negative, option
from amended_darts.recipes import RECIPES

SHARE: Check = (lambda value: 0 <= value < 1, "a share from 0 to below 1")
EDGES = ("all", "pruned", "fixed")


def usual(value: str, help: str, unit: str = "", **settings: Any) -> Any:
    """An option that is as re-training has it with --consistent, and ``value`` otherwise."""
    return option(None, help, unit, "network", **{"unset": f"{value}; with --consistent the recipe's", **settings})


@dataclass(frozen=True)
class NetworkOptions:
    """Settings of the super-network; None stands for the usual or, with ``consistent``, the re-training's value."""

    consistent: bool = option(
        False,
        "search with the re-training network's own depth, width, stem, edges, batch normalisation, drop-path, "
        "auxiliary head and cutout",
        group="network",
    )
    recipe: str | None = option(
        None,
        "re-training that the search is compared with and, with --consistent, made like: " + ", ".join(RECIPES),
        group="network",
        choices=tuple(RECIPES),
        unset="nasbench201 for its cells, cifar for others",
    )
    edges: str | None = option(
        None,
        "edges of a cell: all the time all of the space's (all); from --prune-epoch on those that the search has "
        "chosen by then (pruned); from the start those of --topology (fixed)",
        group="network",
        choices=EDGES,
        unset="fixed with --topology; pruned with --consistent where cells keep some edges; else all",
    )
    topology: str | None = option(
        None, "genotype file whose edges the cells have, whatever its operators", group="network", metavar="FILE"
    )
    prune_epoch: int | None = option(
        None,
        "epochs with all edges before the search goes on with the chosen ones",
        "epochs",
        "network",
        check=at_least(1, "epoch"),
        unset="half of them, with --edges pruned",
    )
    stem: str | None = usual(
        "cifar",
        "first layers: cifar keeps the size of the image, imagenet divides it by 8",
        choices=("cifar", "imagenet"),
    )
    affine: bool | None = usual(
        "false", "batch normalisation of the cells with learnable weight and bias", metavar="true|false"
    )
    pool_norm: bool | None = usual("as the space says", "batch normalisation after pools", metavar="true|false")
    drop_path: float | None = usual(
        "0",
        "probability at the end of dropping the operators of an edge for a sample; grows linearly from 0",
        "0..1",
        check=SHARE,
    )
    auxiliary: float | None = usual(
        "0",
        "weight of the auxiliary head's loss in the training loss; 0 for no head",
        "times the loss",
        check=not_negative("0 or more"),
    )
    compare: bool = option(
        True,
        "say at the start in what search and re-training differ; consistency.txt says it anyway",
        group="network",
        free=True,
    )
    cutout: int | None = usual(
        "0",
        "side of the square that is erased in each image that w learns from, at most half the image's",
        "pixels",
        check=not_negative("a number of pixels, 0 or more"),
    )

"""Search and re-training side by side: what each uses, where they differ, and how the search is made to agree.

The principle is the paper's (arXiv 1910.11831): an architecture that is searched in one setting and judged
in another is judged by the difference of the two as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amended_darts.errors import InputError
from amended_darts.recipes import find_recipe
from amended_darts.spaces import Space, check_cells, find_space

if TYPE_CHECKING:
    from amended_darts.config import SearchConfig


@dataclass(frozen=True)
class Setting:
    """One setting of both. ``option``: what sets it in a search."""

    name: str
    option: str
    search: Any
    retraining: Any

    @property
    def differs(self) -> bool:
        """Whether the two are not the same."""
        return bool(self.search != self.retraining)

    def __str__(self) -> str:
        return f"{self.name} {_show(self.search)} (re-training: {_show(self.retraining)})"


def resolve_network(config: SearchConfig, space: Space) -> dict[str, Any]:
    """Values for all settings of the network, defaults filled in.

    Raises:
        InputError: settings that contradict each other, or a topology that does not fit.
    """
    name = config.recipe or ("nasbench201" if space.inputs == 1 else "cifar")
    recipe = find_recipe(name)
    if (name == "nasbench201") != (space.inputs == 1):
        raise InputError(f"--recipe: expected one for the cells of the space {space.name}, got '{name}'")
    like = config.consistent
    usual: dict[str, Any] = {
        # A space with an architecture per cell has its own depth, which re-training takes over.
        "cells": recipe.cells if like and space.shared else space.cells,
        "channels": recipe.channels if like else space.channels,
        "stem": "imagenet" if like and name == "imagenet" else "cifar",
        "affine": like and recipe.affine,
        "pool_norm": recipe.pool_norm if like else space.pool_norm,
        "drop_path": recipe.drop_path if like else 0.0,
        "auxiliary": recipe.auxiliary if like else 0.0,
        "cutout": recipe.cutout if like else 0,
    }
    values: dict[str, Any] = {
        key: value if getattr(config, key) is None else getattr(config, key) for key, value in usual.items()
    }
    values["recipe"] = name
    check_cells(space, values["cells"])
    if values["stem"] == "imagenet" and space.inputs == 1:
        raise InputError(f"--stem: expected cifar for the space {space.name}, got 'imagenet'")
    return values | _resolve_edges(config, space, values["cells"])


def _resolve_edges(config: SearchConfig, space: Space, cells: int) -> dict[str, Any]:
    some = sum(space.kept_edges().values()) < len(space.edges)
    edges = config.edges or ("fixed" if config.topology else "pruned" if config.consistent and some else "all")
    if (edges == "fixed") != (config.topology is not None):
        raise InputError(
            f"--edges, --topology: expected fixed and a genotype file together, got {edges} and "
            f"{'no file' if config.topology is None else config.topology}"
        )
    if config.topology is not None:
        from amended_darts.topology import read_topology

        read_topology(Path(config.topology), space, cells)
    if edges != "pruned" and config.prune_epoch is not None:
        raise InputError(f"--prune-epoch: expected --edges pruned, got --edges {edges}")
    prune_epoch = config.prune_epoch
    if edges == "pruned":
        prune_epoch = config.epochs // 2 if prune_epoch is None else prune_epoch
        if not 1 <= prune_epoch < config.epochs:
            raise InputError(
                f"--prune-epoch: expected epochs before and after it, 1 to below --epochs {config.epochs}, "
                f"got {prune_epoch}"
            )
    return {"edges": edges, "prune_epoch": prune_epoch}


def side_by_side(config: SearchConfig) -> list[Setting]:
    """What a resolved configuration searches with, and what its recipe re-trains with."""
    space, recipe = find_space(config.space), find_recipe(config.recipe or "cifar")
    kept, every = sum(space.kept_edges().values()), len(space.edges)
    later = f" from epoch {(config.prune_epoch or 0) + 1}" if config.edges == "pruned" else ""
    depth = recipe.cells if space.shared else config.cells
    return [
        Setting("cells", "--cells", config.cells, depth),
        Setting("channels", "--channels", config.channels, recipe.channels),
        Setting("stem", "--stem", config.stem, "imagenet" if config.recipe == "imagenet" else "cifar"),
        Setting(f"edges per cell{later}", "--edges", every if config.edges == "all" else kept, kept),
        Setting("affine BN", "--affine", config.affine, recipe.affine),
        Setting("BN after pools", "--pool-norm", config.pool_norm, recipe.pool_norm),
        Setting("drop-path", "--drop-path", config.drop_path, recipe.drop_path),
        Setting("auxiliary head", "--auxiliary", config.auxiliary, recipe.auxiliary),
        Setting("cutout", "--cutout", config.cutout, recipe.cutout),
        Setting("augmentation", "--augment", config.augment, "imagenet" if config.recipe == "imagenet" else "standard"),
        Setting("batch size", "--batch-size", config.batch_size, recipe.batch_size),
        Setting("weight decay", "--weight-decay", config.weight_decay, recipe.weight_decay),
        Setting("label smoothing", "", 0.0, recipe.label_smoothing),
    ]


def differences(config: SearchConfig) -> list[Setting]:
    """The settings in which the two differ."""
    return [setting for setting in side_by_side(config) if setting.differs]


def describe(config: SearchConfig) -> str:
    """A table of all settings, differences marked, and a sentence about them."""
    rows = [("", "search", "re-training", "")]
    for setting in side_by_side(config):
        mark = f"differs ({setting.option})" if setting.differs and setting.option else "differs" * setting.differs
        rows.append((setting.name, _show(setting.search), _show(setting.retraining), mark))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, (*widths, 0), strict=True)).rstrip() for row in rows
    ]
    return "\n".join([*lines, "", warning(config) or "Search and re-training agree."]) + "\n"


def warning(config: SearchConfig) -> str:
    """One sentence that names every difference; empty where there is none."""
    found = differences(config)
    if not found:
        return ""
    told = f"Search and re-training ({config.recipe}) differ: " + ", ".join(map(str, found))
    return told + (
        "." if config.consistent else "; --consistent makes the network of the search like the re-training's."
    )


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)

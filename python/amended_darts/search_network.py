"""The super-network that a configuration asks for, and what changes in it during a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from amended_darts.config import SearchConfig
from amended_darts.genotype import Topology
from amended_darts.spaces import Space
from amended_darts.supernet.edges import Sliced
from amended_darts.topology import read_topology


def network_settings(config: SearchConfig) -> dict[str, Any]:
    """The settings of ``SuperNet`` in which it may be like the re-training's network, from a resolved configuration."""
    return {
        "cells": config.cells,
        "channels": config.channels,
        "form": config.stem,
        "affine": bool(config.affine),
        "pool_norm": config.pool_norm,
        "auxiliary": bool(config.auxiliary),
        "drop_path": bool(config.drop_path),
    }


def given_topology(config: SearchConfig, space: Space) -> Topology | None:
    """The edges that a resolved configuration starts with; None for all."""
    if config.topology is None:
        return None
    return read_topology(Path(config.topology), space, config.cells or space.cells)


def follow(optimizer: torch.optim.Optimizer, network: nn.Module, sliced: Sliced) -> None:
    """Makes an optimiser of all of a network's parameters follow a change of them: what it knows of those that are left
    stays, what it knows of those that lost rows loses the same rows, the others go.

    Args:
        optimizer: with one group of parameters.
        sliced: what ``SuperNet.keep_edges`` returned.
    """
    known = dict(optimizer.state)
    for old, (new, rows) in sliced.items():
        if old in known:
            known[new] = {
                name: value[rows] if isinstance(value, torch.Tensor) and value.shape == old.shape else value
                for name, value in known[old].items()
            }
    (group,) = optimizer.param_groups
    group["params"] = list(network.parameters())
    optimizer.state.clear()
    optimizer.state.update({parameter: known[parameter] for parameter in group["params"] if parameter in known})

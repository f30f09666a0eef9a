"""What a search returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from amended_darts.architecture import Architecture
from amended_darts.config import SearchConfig
from amended_darts.errors import InputError
from amended_darts.genotype import Genotype


@dataclass(frozen=True)
class SearchResult:
    """What a search found. Tensors are on the CPU.

    Attributes:
        config: the resolved configuration.
        genotype: by the softmax rule, of ``epoch``.
        alpha: α per group of cells, [edges, candidates], of ``epoch``.
        weights: its softmax.
        history: the lines of metrics.jsonl.
        epoch: the last one, counted from 1, or the one that a stopping rule went back to.
        best_epoch: the one with the highest held-out accuracy of the super-network, the earliest of equals.
        stopped: why the search ended before its last epoch; None if it did not.
        alphas: α at the end of every epoch.
        out: the folder with all files.
    """

    config: SearchConfig
    genotype: Genotype
    alpha: list[Tensor]
    weights: list[Tensor]
    history: list[dict[str, Any]]
    epoch: int
    best_epoch: int
    stopped: str | None
    alphas: list[list[Tensor]]
    out: Path
    architecture: Architecture = field(repr=False, compare=False)

    def genotype_at(self, epoch: int) -> Genotype:
        """The architecture that the softmax rule reads off α as it was at the end of ``epoch`` (from 1).

        Raises:
            InputError: no such epoch.
        """
        if not 1 <= epoch <= len(self.alphas):
            raise InputError(f"epoch: expected one from 1 to {len(self.alphas)}, got {epoch}")
        return self.architecture.genotype(self.alphas[epoch - 1])


def best_epoch(history: list[dict[str, Any]]) -> int:
    """The epoch (from 1) with the highest held-out accuracy of the super-network, the earliest of equals."""
    return int(max(history, key=lambda line: line["heldout_accuracy"])["epoch"])

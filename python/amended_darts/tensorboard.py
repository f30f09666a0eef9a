"""A search in TensorBoard: its metrics, how α is distributed, and pictures of the cells."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from amended_darts.callbacks import Callback
from amended_darts.drawing import draw_cells
from amended_darts.extras import require
from amended_darts.genotype import Genotype
from amended_darts.search_result import SearchResult
from amended_darts.search_state import SearchState

FOLDER = "tensorboard"
PICTURE_EVERY = 10  # epochs: a picture takes about as long to draw as a second of searching


class TensorBoard(Callback):
    """Writes events to the folder ``tensorboard`` in --out, after every epoch, numbered by it: every number of
    metrics.jsonl, the operators' counts, histograms of α and of its softmax for each group of cells, and the cells.

    Raises:
        InputError: tensorboard is not installed.
    """

    def __init__(self) -> None:
        require("tensorboard", "--tensorboard", '"amended-darts[tensorboard]"')
        self._writer: Any = None

    def on_start(self, state: SearchState) -> None:
        if state.ranks.first:
            from torch.utils.tensorboard import SummaryWriter

            # What an earlier start wrote of epochs that are computed again is hidden.
            self._writer = SummaryWriter(str(state.checkpoint.parent / FOLDER), purge_step=state.epoch + 1)

    def on_epoch(self, state: SearchState, metrics: dict[str, Any]) -> None:
        if self._writer is None:
            return
        for name, value in _numbers(metrics):
            self._writer.add_scalar(name, value, state.epoch)
        architecture = state.architecture
        groups = architecture.space.groups(architecture.cells)
        alphas, weights = [alpha.detach() for alpha in architecture.alphas], architecture.weights()
        for index, group in enumerate(groups):
            rows = architecture.rows(index)
            offered = [(row, column) for row in rows for column in range(len(group.candidates[row]))]
            places = tuple(zip(*offered, strict=True))
            for kind, values in (("alpha", alphas[index]), ("weights", weights[index].detach())):
                self._writer.add_histogram(f"{kind}/{group.name}", values[places].cpu(), state.epoch)
        if state.epoch % PICTURE_EVERY == 0 and not state.finished:
            self._picture(architecture.genotype(), state.epoch)
        self._writer.flush()

    def on_end(self, state: SearchState, result: SearchResult) -> None:
        if self._writer is not None:
            self._picture(result.genotype, state.epoch)

    def on_close(self, state: SearchState) -> None:
        if self._writer is not None:
            self._writer.close()

    def _picture(self, genotype: Genotype, epoch: int) -> None:
        import numpy

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cells.png"
            draw_cells(genotype, path)
            with require("PIL.Image", "pictures in TensorBoard").open(path) as image:
                pixels = numpy.asarray(image.convert("RGB"))
        self._writer.add_image("cells", pixels, epoch, dataformats="HWC")


def _numbers(metrics: dict[str, Any]) -> list[tuple[str, float]]:
    """Names and values of the numbers in a line; those of the operators under their own heading."""
    found = []
    for name, value in metrics.items():
        if isinstance(value, dict):
            found += [(f"{name}/{key}", number) for key, number in _numbers(value)]
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and name not in ("epoch", "steps"):
            found.append((name, float(value)))
    return found

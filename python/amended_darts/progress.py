"""A progress bar on terminals; nothing elsewhere, where the line per epoch has to do."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from torch import Tensor

from amended_darts.extras import require
from amended_darts.search_state import SearchState


class Progress:
    """Steps of the whole run, drawn on standard error with tqdm if that is a terminal."""

    def __init__(self, state: SearchState) -> None:
        self._bar: Any = None
        if sys.stderr.isatty():
            self._bar = require("tqdm", "the progress bar").tqdm(
                total=state.config.epochs * state.steps_per_epoch,
                initial=state.total_step,
                unit="step",
                dynamic_ncols=True,
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, state: SearchState, loss: Tensor) -> None:
        """One more step is done."""
        if self._bar is not None:
            self._bar.set_description(f"epoch {state.epoch + 1}/{state.config.epochs}", refresh=False)
            if state.step % 10 == 0:  # reading the loss waits for the device
                self._bar.set_postfix(loss=f"{float(loss):.3f}", refresh=False)
            self._bar.update()

    def clear(self) -> None:
        """Takes the bar off the screen, so that a line can be printed; the next step draws it again."""
        if self._bar is not None:
            self._bar.clear()

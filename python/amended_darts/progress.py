"""A progress bar on terminals; nothing elsewhere, where the line per epoch has to do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from torch import Tensor

from amended_darts.callbacks import Callback
from amended_darts.extras import require

if TYPE_CHECKING:
    from amended_darts.search_state import SearchState


class Progress(Callback):
    """Steps of the whole run, with the time that is left and images per second, drawn on standard error by tqdm if that
    is a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None

    def on_start(self, state: SearchState) -> None:
        ranks = getattr(state, "ranks", None)  # a re-training has none
        if (ranks is None or ranks.first) and sys.stderr.isatty():
            self._bar = require("tqdm", "the progress bar").tqdm(
                total=state.config.epochs * state.steps_per_epoch,
                initial=state.total_step,
                unit="step",
                dynamic_ncols=True,
            )

    def on_step(self, state: SearchState, measured: dict[str, Tensor]) -> None:
        if self._bar is not None:
            self._bar.set_description(f"epoch {state.epoch + 1}/{state.config.epochs}", refresh=False)
            if state.step % 10 == 0:  # reading the loss waits for the device
                told = {"loss": f"{float(measured['train_loss']):.3f}"}
                rate, stream = self._bar.format_dict["rate"], getattr(state, "weight_stream", None)
                if rate and stream is not None:
                    told["images/s"] = f"{rate * stream.batch_size:.0f}"
                self._bar.set_postfix(told, refresh=False)
            self._bar.update()

    def on_epoch(self, state: SearchState, metrics: dict[str, Any]) -> None:
        """Takes the bar off the screen, so that a line can be printed; the next step draws it again."""
        if self._bar is not None:
            self._bar.clear()

    def on_close(self, state: SearchState) -> None:
        if self._bar is not None:
            self._bar.close()

"""What every run over epochs shares: its position, its metrics, and how it stops or ends without losing anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amended_darts.errors import Interrupted, RunError
from amended_darts.interrupt import StopRequest
from amended_darts.metrics import History, Means

CHECKPOINT = "checkpoint.pt"


class RunState:
    """Position and metrics of a run; its heirs say what else their checkpoints hold.

    Args:
        out: the run's folder.
        epochs: how many the run has.
        steps_per_epoch: how many steps each has.
    """

    def __init__(self, out: Path, epochs: int, steps_per_epoch: int) -> None:
        self.checkpoint = out / CHECKPOINT
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.epoch = 0
        self.step = 0  # within the epoch
        self.seconds = 0.0  # spent in this epoch so far
        self.means = Means()
        self.history = History(out)

    @property
    def total_step(self) -> int:
        """Steps since the beginning of the run."""
        return self.epoch * self.steps_per_epoch + self.step

    def position(self, ahead: int = 0) -> str:
        """Where the run is, counted from one; with ``ahead`` the step that is being computed."""
        epoch = min(self.epoch + 1, self.epochs)
        return f"epoch {epoch} of {self.epochs}, step {self.step + ahead} of {self.steps_per_epoch}"

    def save(self) -> None:
        """Writes the checkpoint."""
        raise NotImplementedError

    def position_dict(self) -> dict[str, Any]:
        """This class's part of a checkpoint."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "means": self.means.state_dict(),
            "metrics": list(self.history.lines),
        }

    def load_position(self, state: dict[str, Any], device: torch.device) -> None:
        """From a checkpoint."""
        self.epoch, self.step, self.seconds = state["epoch"], state["step"], state["seconds"]
        self.means.load_state_dict(state["means"], device)
        self.history.lines = list(state["metrics"])

    def next_epoch(self) -> None:
        """Ends the epoch: the position moves to the start of the one that follows."""
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        self.means = Means()

    def stop_or_save(self, stop: StopRequest, due: bool) -> None:
        """Between two steps: saves if that is due or the run is asked to stop.

        Raises:
            Interrupted: after saving, if the run is asked to stop.
        """
        asked = self.asked(stop)
        if asked or due:
            self.save()
        if asked:
            raise Interrupted(
                f"interrupted at {self.position()}; {self.checkpoint} holds the state, --resume continues from it"
            )

    def asked(self, stop: StopRequest) -> bool:
        """Whether the run is asked to stop."""
        return stop.requested

    def check_finite(self, loss: Tensor, gradient: Tensor, of: str = "") -> None:
        """Ends the run before a state with NaN in it can replace the last good checkpoint.

        Args:
            of: whose loss it is, where there are several.

        Raises:
            RunError: the loss or the norm of its gradient is not finite.
        """
        if bool(torch.isfinite(loss + gradient)):
            return
        name, value = ("loss", loss) if not bool(torch.isfinite(loss)) else ("norm of the gradient", gradient)
        raise self.failed(f"the {name}{f' of {of}' if of else ''} is {float(value)}")

    def failed(self, what: object) -> RunError:
        """The error to raise where a step failed."""
        return RunError(f"{what}, at {self.position(1)}; {self.checkpoint} holds the last good state")

"""Hooks into a search: subclass ``Callback``, override what is needed, pass instances to ``search(callbacks=[...])``.

>>> class Plateau(Callback):
...     def on_measure(self, state, metrics):
...         if metrics["heldout_accuracy"] > 0.99:
...             state.stop("the held-out accuracy is above 0.99")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from amended_darts.search_result import SearchResult
    from amended_darts.search_state import SearchState


class Callback:
    """Hooks that do nothing. They are called in the order of the list; what one raises ends the search, with the last
    checkpoint whole. A hook that draws random numbers from global generators changes the search: give it its own.

    With several processes every one calls them. Of what on_measure adds and decides rank 0's counts; a hook that writes
    or prints does so where ``state.ranks.first``."""

    def on_start(self, state: SearchState) -> None:
        """Before the first step of this start: the checkpoint, if any, is loaded."""

    def on_step(self, state: SearchState, measured: dict[str, Tensor]) -> None:
        """After each step (``state.step`` counts it). ``measured``: 0-d tensors on the device, train_loss,
        train_accuracy and, where α moved, alpha_loss, alpha_accuracy and what the estimator reports. Reading one waits
        for the device."""

    def on_measure(self, state: SearchState, metrics: dict[str, Any]) -> None:
        """At the end of an epoch, before anything of it is written: the place to add values to the epoch's line of
        metrics.jsonl (numbers, text, lists, None: whatever JSON holds) and to call ``state.stop``. ``state.epoch``
        still counts the epochs before this one, and the network is in evaluation mode."""

    def on_epoch(self, state: SearchState, metrics: dict[str, Any]) -> None:
        """After the epoch's line, genotype and checkpoint are on disk; ``state.epoch`` counts this epoch."""

    def on_end(self, state: SearchState, result: SearchResult) -> None:
        """After the last epoch, when all files are written."""

    def on_close(self, state: SearchState) -> None:
        """At the very end, also of a search that was interrupted or failed."""


class Functions(Callback):
    """Plain functions as hooks: ``on_epoch(metrics)`` and ``on_step(measured)``; called in rank 0 alone."""

    def __init__(
        self,
        on_epoch: Callable[[dict[str, Any]], None] | None = None,
        on_step: Callable[[dict[str, Tensor]], None] | None = None,
    ) -> None:
        self._epoch = on_epoch
        self._step = on_step

    def on_step(self, state: SearchState, measured: dict[str, Tensor]) -> None:
        if self._step is not None and state.ranks.first:
            self._step(measured)

    def on_epoch(self, state: SearchState, metrics: dict[str, Any]) -> None:
        if self._epoch is not None and state.ranks.first:
            self._epoch(metrics)


class Callbacks(Callback):
    """Several callbacks as one."""

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self.all = list(callbacks)

    def on_start(self, state: SearchState) -> None:
        for each in self.all:
            each.on_start(state)

    def on_step(self, state: SearchState, measured: dict[str, Tensor]) -> None:
        for each in self.all:
            each.on_step(state, measured)

    def on_measure(self, state: SearchState, metrics: dict[str, Any]) -> None:
        for each in self.all:
            each.on_measure(state, metrics)

    def on_epoch(self, state: SearchState, metrics: dict[str, Any]) -> None:
        for each in self.all:
            each.on_epoch(state, metrics)

    def on_end(self, state: SearchState, result: SearchResult) -> None:
        for each in self.all:
            each.on_end(state, result)

    @contextmanager
    def closing(self, state: SearchState) -> Iterator[None]:
        """Calls every ``on_close`` in the end, the last callback's first."""
        try:
            yield
        finally:
            for each in reversed(self.all):
                each.on_close(state)

"""Work of one thread, several pieces at a time, each in a process that was started fresh."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TypeVar

from amended_darts.errors import Interrupted, RunError

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def each(function: Callable[[Item], Outcome], items: Iterable[Item], processes: int) -> Iterator[tuple[Item, Outcome]]:
    """Calls a function for every item, and gives item and outcome in the order in which they are done.

    On Ctrl-C or SIGTERM what is being worked on stops as it does on its own, and nothing further is begun.

    Raises:
        RunError: a process died (the system ended it for want of memory, say).
        Interrupted: what was being worked on has stopped.
    """
    context = multiprocessing.get_context("spawn")
    with _passing_on_sigterm(), ProcessPoolExecutor(processes, mp_context=context, initializer=_one_thread) as pool:
        try:
            futures = {pool.submit(partial(_call, function), item): item for item in items}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise RunError("a process of the study was ended from outside; the same command goes on") from None
        except KeyboardInterrupt:
            raise Interrupted("interrupted; the same command goes on") from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _passing_on_sigterm() -> Iterator[None]:
    """The processes at work hear of a SIGTERM; of Ctrl-C the terminal tells them itself."""

    def tell(number: int, frame: FrameType | None) -> None:
        for process in multiprocessing.active_children():
            process.terminate()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, tell)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


_interrupted = False  # in a process at work


def _call(function: Callable[[Item], Outcome], item: Item) -> Outcome:
    global _interrupted
    if _interrupted:  # this one was handed over before its sender knew
        raise KeyboardInterrupt
    try:
        return function(item)
    except KeyboardInterrupt:
        _interrupted = True
        raise


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)

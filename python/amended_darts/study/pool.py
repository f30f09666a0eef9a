"""Work of one thread, several pieces at a time, each in a process that was started fresh."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from amended_darts.errors import RunError

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def each(function: Callable[[Item], Outcome], items: Iterable[Item], processes: int) -> Iterator[tuple[Item, Outcome]]:
    """Calls a function for every item, and gives item and outcome in the order in which they are done.

    What is being worked on is finished or, on Ctrl-C, interrupted in every process; nothing further is begun.

    Raises:
        RunError: a process died (the system ended it for want of memory, say).
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_one_thread) as pool:
        try:
            futures = {pool.submit(function, item): item for item in items}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise RunError("a process of the study was ended from outside; the same command goes on") from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)

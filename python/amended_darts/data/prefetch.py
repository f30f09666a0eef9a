"""Batches made ahead of time by a thread, so that a second core is at work while the first computes a step."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_AHEAD = 2


class Prefetched(Generic[T]):
    """The items of ``items``, in order; a thread makes up to two of them ahead. An exception of ``items`` is raised
    where its item would come. The items may not draw from global random generators. ``close`` ends the thread."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(_AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._make, name="batches", daemon=True)
        self._thread.start()

    def _make(self) -> None:
        try:
            for item in self._items:
                self._put((item, None))
                if self._closed.is_set():
                    return
            self._put((None, StopIteration()))
        except BaseException as error:  # for the thread that takes the items
            self._put((None, error))

    def _put(self, entry: tuple[T | None, BaseException | None]) -> None:
        while not self._closed.is_set():
            try:
                return self._ready.put(entry, timeout=0.1)
            except queue.Full:
                pass
        return None

    def __iter__(self) -> Prefetched[T]:
        return self

    def __next__(self) -> T:
        item, error = self._ready.get()
        if error is not None:
            raise error
        return item  # type: ignore[return-value]

    def close(self) -> None:
        """Ends the thread after the item that it is making."""
        self._closed.set()
        self._thread.join()

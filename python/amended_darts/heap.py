"""The C library's heap: glibc before 2.38 finds no use for many of the aligned blocks that tensors leave behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path


def give_back_heap() -> None:
    """Returns to the system what glibc's heap holds but nobody uses: after steps that allocate and free hundreds of
    megabytes it keeps more from step to step. Does nothing with other C libraries."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def resident() -> int:
    """Bytes of memory that the process holds; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


class GrowingHeap:
    """Gives the heap back whenever it has grown well beyond what one step leaves behind."""

    SLACK = 128 * 2**20

    def __init__(self) -> None:
        self._usual: int | None = None

    def after_step(self) -> None:
        """Reads one line of /proc; gives back once in many steps."""
        now = resident()
        if self._usual is None:
            self._usual = now
        elif now > 1.5 * self._usual + self.SLACK:
            give_back_heap()
            self._usual = None

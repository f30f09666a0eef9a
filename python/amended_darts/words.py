"""Quantities for people."""

from __future__ import annotations

import time


def duration(seconds: float) -> str:
    """``8.2 s``, ``3 min 20 s``, ``2 h 05 min``, ``1 d 02 h``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


class Clock:
    """How long a run will take: by the mean time of the epochs of this start, everything between them included."""

    def start(self, epoch: int) -> None:
        """Begins, after ``epoch`` epochs of earlier starts."""
        self._began, self._first = time.monotonic(), epoch

    def left(self, epoch: int, epochs: int) -> str:
        """The time until ``epochs`` are done, now that ``epoch`` are."""
        done = max(epoch - self._first, 1)
        return duration((time.monotonic() - self._began) / done * (epochs - epoch))

"""How far a call raises the peak of resident memory, measured in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def peak_in_own_process(script: str, *arguments: object) -> int:
    """Bytes that ``script``, called with ``arguments``, prints with :func:`print_growth`.

    Its freed tensors go back to the system at once, so that the peak is that of live memory.
    """
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    command = [sys.executable, script, *map(str, arguments)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


def print_growth(call: Callable[[], object]) -> None:
    """Prints by how many bytes the peak rises above what is resident before the call."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _status("VmRSS")
    call()
    print(_status("VmHWM") - before)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024

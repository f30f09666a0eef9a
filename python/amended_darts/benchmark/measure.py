"""What a case really takes: each variant in a process of its own, and the times of all variants beside each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from amended_darts.benchmark.cases import Case
from amended_darts.errors import RunError

_HEAP = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
"""Freed tensors go back to the system at once, so that what is resident is alive. Times are taken without."""


def measure_memory(case: Case, variant: str, device: str, threads: int) -> dict[str, Any]:
    """Bytes of one variant, from a fresh process: ``saved``; ``peak`` by step; ``kept``.

    On the CPU the peak of resident memory less what was resident before the network was made, and of that what
    libraries keep for their own use when the network is gone (the code that oneDNN generates for each shape); on a GPU
    the peak of what PyTorch's allocator had given out.

    Raises:
        RunError: the process failed; with the last line that it wrote.
    """
    return _child({"case": asdict(case), "variants": [variant], "device": device, "threads": threads}, _HEAP)


def measure_seconds(case: Case, variants: list[str], device: str, threads: int, rounds: int) -> dict[str, Any]:
    """Seconds of a weight step by variant, medians of interleaved rounds in one process.

    Raises:
        RunError: the process failed; with the last line that it wrote.
    """
    request = {"case": asdict(case), "variants": variants, "device": device, "threads": threads, "rounds": rounds}
    return _child(request, {})


def _child(request: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "amended_darts.benchmark.process", json.dumps(request)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "TORCHINDUCTOR_COMPILE_THREADS": "1", **environment},
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"signal {-done.returncode}"])[-1]
        what = ", ".join(request["variants"])
        raise RunError(f"{Case(**request['case'])}: {what}: the measuring process failed ({last})")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result

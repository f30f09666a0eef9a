"""Times and peaks of memory on the CPU and on a GPU, and results that are kept as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

DEVICES = ("cpu", "cuda")


def seconds(call: Callable[[], object], device: str) -> float:
    """One call: by CUDA events on the current stream, after what was there before, or by the clock."""
    if device == "cpu":
        began = time.perf_counter()
        call()
        return time.perf_counter() - began
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def interleaved_medians(calls: dict[str, Callable[[], object]], rounds: int, device: str) -> dict[str, float]:
    """Median seconds of each call; every round has each of them once. The first round of all is not counted."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        seconds(call, device)
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call, device))
    return {name: statistics.median(kept) for name, kept in times.items()}


def cuda_growth(call: Callable[[], object]) -> int:
    """By how many bytes the allocator's peak rises above what is allocated before the call."""
    call()  # what libraries keep from one call to the next
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def conditions(device: str) -> dict[str, Any]:
    """What the figures hold for."""
    told: dict[str, Any] = {"device": device, "torch": torch.__version__, "cores": os.cpu_count()}
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        told |= {
            "gpu": properties.name,
            "compute capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "cuda": torch.version.cuda,
            "tf32": torch.backends.cudnn.allow_tf32,
        }
    else:
        told |= {"cpu": platform.processor() or platform.machine(), "isa": torch.ops.amended_darts._cpu_isa()}
    return told


def write_json(path: Path, content: dict[str, Any]) -> None:
    """The whole file or none of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(path.suffix + ".part")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(temporary, path)

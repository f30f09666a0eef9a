"""The process that measures: ``python -m amended_darts.benchmark.process REQUEST`` prints one line of JSON.

Not for people; ``measure.py`` starts it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from amended_darts.benchmark.cases import Case
from amended_darts.benchmark.names import STEPS
from amended_darts.benchmark.steps import Steps
from amended_darts.heap import give_back_heap, resident
from amended_darts.memory import saved_bytes
from amended_darts.spaces.depth import least_cells


def memory(case: Case, variant: str, device: str) -> dict[str, Any]:
    """Bytes: ``saved``; ``peak`` by step; ``kept``, what is still taken once the network is gone."""
    _load(case, variant)
    before = _begin(device)
    steps = Steps(case, variant)
    steps.settle()
    saved = saved_bytes(steps.network, *steps.arguments())
    steps.run("weight")  # what kernels keep from step to step is there now
    peak = {}
    for step in STEPS:
        _reset(device)
        steps.run(step)
        peak[step] = _peak(device) - before
    del steps
    torch.ops.amended_darts.release_workspace()
    return {"saved": saved, "peak": peak, "kept": max(_begin(device) - before, 0)}


def seconds(case: Case, variants: list[str], device: str, rounds: int) -> dict[str, Any]:
    """``seconds`` of a weight step by variant."""
    steps = {variant: Steps(case, variant) for variant in variants}
    for each in steps.values():
        each.run("weight")
    times: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant, each in steps.items():
            times[variant].append(_timed(each, device))
    return {"seconds": {variant: statistics.median(kept) for variant, kept in times.items()}}


def _timed(steps: Steps, device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    steps.run("weight")
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _load(case: Case, variant: str) -> None:
    """Code, thread pools and compiled graphs, so that they do not count."""
    if variant != "compile":
        cells = least_cells(case.found()) or case.cells
        case = replace(case, cells=cells, channels=min(case.channels, 4), batch=2)
    steps = Steps(case, variant)
    for step in STEPS:
        steps.run(step)
    del steps
    torch.ops.amended_darts.release_workspace()


def _begin(device: str) -> int:
    """Bytes that are taken before anything is made."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        return torch.cuda.memory_allocated()
    give_back_heap()
    return resident()


def _reset(device: str) -> None:
    gc.collect()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM is what is resident now


def _peak(device: str) -> int:
    if device == "cuda":
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


def main() -> None:
    """Reads the request from the command line."""
    request = json.loads(sys.argv[1])
    case, device = Case(**request["case"]), request["device"]
    torch.set_num_threads(request["threads"])
    torch.manual_seed(0)
    on_device = torch.device("cuda") if device == "cuda" else contextlib.nullcontext()
    with on_device:
        if "rounds" in request:
            result = seconds(case, request["variants"], device, request["rounds"])
        else:
            result = memory(case, request["variants"][0], device)
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""Everything that wants a GPU, in one command: ``make gpu``, or ``python -m tests.gpu.run --out gpu.json``.

Runs the tests marked gpu, the same under compute-sanitizer where there is one, then the benchmarks; prints their tables
and writes all results to one JSON file. The exit status is 0 where all tests passed and no sanitizer complained.

Without a GPU: with AMENDED_DARTS_CUDA_ON_CPU (tests/cuda_on_cpu/emulator.py) and ``--rehearse`` the same steps run on
emulated kernels and small shapes, and say nothing about speed.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import torch

import amended_darts_ext  # noqa: F401  registers the operators
from amended_darts_ext import _C, info

from ..benchmarks import bench_mixed_op, bench_perturbation
from ..benchmarks.devices import conditions, write_json
from ..cuda_on_cpu import emulator

TESTS = Path(__file__).parents[1]
#: Of compute-sanitizer: bounds and alignment, races in shared memory, barriers, memory read before it is written.
SANITIZERS = ("memcheck", "racecheck", "synccheck", "initcheck")


def _pytest(arguments: list[str], wrapper: list[str] | None = None, **environment: str) -> dict[str, Any]:
    """Runs pytest in a process of its own; how many tests did what."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [*(wrapper or []), sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments]
        status = subprocess.run(command, cwd=TESTS.parent, env={**os.environ, **environment}).returncode
        counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
        if report.exists():
            for suite in xml.etree.ElementTree.parse(report).getroot().iter("testsuite"):
                counts = {name: count + int(suite.get(name, 0)) for name, count in counts.items()}
    passed = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
    return {"passed": passed, **counts, "exit status": status, "ok": status == 0 and passed > 0}


def run_tests(rehearse: bool) -> dict[str, Any]:
    """The tests marked gpu; a rehearsal has those that are about CUDA alone."""
    return _pytest(["-m", "gpu", str(TESTS / "gpu") if rehearse else str(TESTS)])


def run_sanitizers() -> dict[str, Any]:
    """Each tool's result; {} where there is no compute-sanitizer."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        print("no compute-sanitizer on PATH: left out")
        return {}
    results = {}
    for name in SANITIZERS:
        print(f"compute-sanitizer --tool {name}")
        wrapper = [tool, "--tool", name, "--error-exitcode", "86", "--target-processes", "all"]
        # Without the caching allocator each tensor is an allocation of its own, whose ends are known.
        results[name] = _pytest(
            [str(TESTS / "gpu"), "-k", "same_bits or standard_shapes"], wrapper, PYTORCH_NO_CUDA_MEMORY_CACHING="1"
        )
    return results


def run_benchmarks(device: str, rehearse: bool) -> dict[str, Any]:
    """Rows of each benchmark."""
    rounds = 2 if rehearse else 51
    variants = ["eager NCHW", "fused"] if rehearse else list(bench_mixed_op.VARIANTS)
    return {
        "mixed_op": bench_mixed_op.main(rounds, [1], variants, device, rehearse, None),
        "perturbation": bench_perturbation.main(rounds, device, rehearse, None),
    }


def main(out: Path, rehearse: bool, tests: bool, sanitizers: bool, benchmarks: bool) -> int:
    if not torch.cuda.is_available() and not rehearse:
        print(f"no CUDA device: {info.describe()}\na rehearsal on the CPU: make gpu-rehearsal", file=sys.stderr)
        return 2
    if rehearse:
        emulator.load()
    device = "cpu" if rehearse else "cuda"
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "rehearsal": rehearse,
        "conditions": conditions(device),
        "library": _C.build_info(),
    }
    if tests:
        result["tests"] = run_tests(rehearse)
        write_json(out, result)  # a later step may take the machine with it
    if sanitizers:
        result["compute-sanitizer"] = run_sanitizers()
        write_json(out, result)
    if benchmarks:
        result["benchmarks"] = run_benchmarks(device, rehearse)
    write_json(out, result)
    checks = {"tests": result.get("tests", {"ok": True}), **result.get("compute-sanitizer", {})}
    for name, counts in checks.items():
        if "passed" in counts:
            print(f"{name}: {counts['passed']} passed, {counts['failures'] + counts['errors']} failed", end="")
            print("" if counts["ok"] else f", exit status {counts['exit status']}")
    print(f"all of it: {out}")
    return 0 if all(counts["ok"] for counts in checks.values()) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/gpu.json"), help="default: build/gpu.json")
    parser.add_argument("--rehearse", action="store_true", help="emulated kernels, small shapes")
    for step in ("tests", "sanitizers", "benchmarks"):
        parser.add_argument(f"--no-{step}", action="store_true", help=f"leave the {step} out")
    given = parser.parse_args()
    sys.exit(main(given.out, given.rehearse, not given.no_tests, not given.no_sanitizers, not given.no_benchmarks))

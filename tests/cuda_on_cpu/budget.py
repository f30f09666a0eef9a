"""The budget of the compiled CUDA kernels: ``python -m tests.cuda_on_cpu.budget`` prints it, and fails beyond it.

No kernel has a stack frame, hence no spilled registers, and each can fill half of an H100's multiprocessor (sm_90) with
its warps. A kernel that is faster with less says so in a comment directly above it:

    // Budget: occupancy >= 25 %: <reason>
    // Budget (double): occupancy >= 12 %, stack <= 64: <reason>

where (double) speaks of the kernel's float64 instances alone. Dynamic shared memory is a launch's, not the kernel's: it
is the largest that the emulator saw in the calls of standard_calls.py.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from . import emulator
from .occupancy import ARCHITECTURES, occupancy
from .resources import Resources, read

CSRC = Path(__file__).parents[2] / "csrc" / "cuda"
CHECKED = "sm_90"


@dataclass(frozen=True)
class Allowance:
    """What a kernel may need; occupancy as a part of 1."""

    occupancy: float = 0.5
    stack_bytes: int = 0
    reason: str = ""


def allowances(source: str) -> dict[tuple[str, str], Allowance]:
    """(kernel without its template arguments, "" or "double") -> what the comments above it allow."""
    result: dict[tuple[str, str], Allowance] = {}
    waiting: dict[str, Allowance] = {}
    comment = ""
    for line in source.splitlines():
        if line.startswith("//"):
            comment = f"{comment} {line[2:].strip()}" if not line.startswith("// Budget") else line[2:].strip()
            if match := re.match(r"Budget(?: \((double)\))?: ([^:]*): (.+)", comment):
                kind, limits, reason = match.groups()
                least = re.search(r"occupancy >= (\d+) %", limits)
                stack = re.search(r"stack <= (\d+)", limits)
                if least is None and stack is None:
                    raise ValueError(f"a budget must say occupancy >= N % or stack <= N, got '{limits}'")
                waiting[kind or ""] = Allowance(
                    int(least.group(1)) / 100 if least else 0.5, int(stack.group(1)) if stack else 0, reason
                )
            continue
        comment = ""
        if match := re.search(r"\b(\w+_kernel)\(", line):
            for kind, allowance in waiting.items():
                result[match.group(1), kind] = allowance
            waiting = {}
    return result


def all_allowances() -> dict[tuple[str, str], Allowance]:
    """Those of every kernel in csrc/cuda."""
    result: dict[tuple[str, str], Allowance] = {}
    for path in sorted(CSRC.rglob("*.cuh")):
        result |= allowances(path.read_text())
    return result


@dataclass(frozen=True)
class Row:
    """One kernel for one architecture, and what is wrong with it."""

    resources: Resources
    threads: int
    dynamic_shared: int
    occupancy: float | None
    allowance: Allowance

    @property
    def complaint(self) -> str:
        if self.resources.stack_bytes > self.allowance.stack_bytes:
            return f"stack frame of {self.resources.stack_bytes} bytes"
        checked = self.resources.architecture == CHECKED and self.occupancy is not None
        if checked and self.occupancy is not None and self.occupancy < self.allowance.occupancy:
            return f"occupancy below {self.allowance.occupancy:.0%}"
        return ""


def rows(resources: list[Resources], launches: list[emulator.Launch], allowed: dict) -> list[Row]:
    """Joins what was compiled with how it is launched."""
    result = []
    for each in resources:
        own = [launch for launch in launches if launch.kernel == each.kernel]
        threads = max((b.block[0] * b.block[1] * b.block[2] for b in own), default=each.max_threads)
        dynamic = max((launch.dynamic_shared for launch in own), default=0)
        part = None
        if each.architecture in ARCHITECTURES:
            part = occupancy(each.architecture, threads, each.registers, each.shared_bytes + dynamic)
        plain = each.kernel.split("<")[0].split("::")[-1]
        kind = "double" if "double" in each.kernel else ""
        allowance = allowed.get((plain, kind), allowed.get((plain, ""), Allowance()))
        result.append(Row(each, threads, dynamic, part, allowance))
    return result


def table(rows: list[Row]) -> str:
    """Markdown: a line for each kernel and architecture."""
    lines = [
        "| kernel | arch | threads | registers | stack | shared, static + dynamic | occupancy | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        r = row.resources
        name = r.kernel.removeprefix("amended_darts::")
        part = "?" if row.occupancy is None else f"{row.occupancy:.0%}"
        note = f"BROKEN: {row.complaint}" if row.complaint else row.allowance.reason and "allowed"
        lines.append(
            f"| {name} | {r.architecture} | {row.threads} | {r.registers} | {r.stack_bytes} "
            f"| {r.shared_bytes} + {row.dynamic_shared} | {part} | {note} |"
        )
    return "\n".join(lines)


def main(library: Path) -> int:
    resources = read(library)
    if not resources:
        print(f"{library} was built without CUDA kernels: no budget to check")
        return 0
    launches: list[emulator.Launch] = []
    if emulator.library_path() is not None:
        from .standard_calls import run_all

        launches = run_all()
    else:
        print(f"{emulator.VARIABLE} names no library: blocks by __launch_bounds__, dynamic shared memory unknown")
    found = rows(resources, launches, all_allowances())
    print(table(found))
    broken = [row for row in found if row.complaint]
    kernels = {row.resources.kernel for row in found}
    architectures = sorted({row.resources.architecture for row in found})
    print(f"{len(kernels)} kernels, {', '.join(architectures)}; {len(broken)} beyond their budget")
    return 1 if broken else 0


if __name__ == "__main__":
    import amended_darts_ext

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--library", type=Path, default=amended_darts_ext._library.PATH, help="default: the installed one"
    )
    sys.exit(main(parser.parse_args().library))

"""What a search reports: running means within an epoch, and ``metrics.jsonl`` with one line per epoch."""

from __future__ import annotations

import json
import math
import resource
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amended_darts.files import write_text

FILE = "metrics.jsonl"


class Means:
    """Means of named 0-d tensors, summed in float64 on their own device: adding one waits for nothing."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, **values: Tensor) -> None:
        """Takes one value per name into its mean."""
        for name, value in values.items():
            value = value.detach().double()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1

    def mean(self, name: str) -> float | None:
        """The mean so far; None where nothing was added or it is not finite (JSON has no NaN)."""
        if name not in self.sums:
            return None
        return finite(float(self.sums[name]) / self.counts[name])

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"sums": {name: value.cpu() for name, value in self.sums.items()}, "counts": dict(self.counts)}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """From a checkpoint."""
        self.sums = {name: value.to(device) for name, value in state["sums"].items()}
        self.counts = dict(state["counts"])


class History:
    """The lines of ``metrics.jsonl``. A checkpoint carries them, so that a resumed run writes the file as it was at the
    checkpoint: lines of an epoch that is run again go, and none is lost."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.lines: list[str] = []
        self.writes = True  # False in all processes but one

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The lines, parsed."""
        return [json.loads(line) for line in self.lines]

    def append(self, values: dict[str, Any]) -> None:
        """Adds a line. The file is replaced as a whole, so that no line in it is ever half a line."""
        self.lines.append(json.dumps(values, allow_nan=False))
        self.write()

    def write(self) -> None:
        """Makes the file hold exactly these lines."""
        if self.writes:
            write_text(self.path, "".join(line + "\n" for line in self.lines))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl, parsed; none where there is no such file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def finite(value: float) -> float | None:
    """The value, or None where it is infinite or not a number."""
    return value if math.isfinite(value) else None


def peak_memory(device: torch.device) -> int:
    """Bytes: of PyTorch's allocator on a GPU, resident of this process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB

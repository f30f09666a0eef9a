"""Kills a search with SIGKILL at random moments, resumes it each time, and compares the end with an uninterrupted run.

``python tests/search/soak.py --kills 20`` (``make soak``); the tests do the same with a few kills.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from amended_darts.checkpoint import load_checkpoint

if __package__ in (None, ""):  # run as a script
    sys.path.insert(0, str(Path(__file__).parent))
    from processes import COMMAND, ENVIRONMENT
else:
    from .processes import COMMAND, ENVIRONMENT

SETTINGS = ("--space", "darts", "--cells", "3", "--channels", "4", "--epochs", "6", "--alpha-lr", "0.05")
CLOCKS = ("seconds", "peak_memory_bytes")
CLOCKED = ("seconds", "means", "metrics", "config")  # of a checkpoint: what holds clocks, or where the run is


def results(folder: Path) -> dict[str, Any]:
    """All that a run leaves and that has to be the same bit for bit: clocks and memory aside."""
    state = load_checkpoint(folder / "checkpoint.pt")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "state": {name: value for name, value in state.items() if name not in CLOCKED},
        "metrics": [{key: value for key, value in line.items() if key not in CLOCKS} for line in lines],
        "genotype": (folder / "genotype.json").read_text(),
    }


def same(one: Any, other: Any) -> bool:
    """Whether two nested results are equal, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def start(out: Path, *options: str) -> subprocess.Popen[str]:
    """``amended-darts search`` as a process."""
    return subprocess.Popen(
        [*COMMAND, "search", "--out", str(out), *options],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def finish(process: subprocess.Popen[str]) -> None:
    """Waits for the end; raises if the search failed."""
    told = process.communicate(timeout=3600)[1]
    if process.returncode != 0:
        raise RuntimeError(f"the search ended with {process.returncode}: {told}")


def soak(folder: Path, kills: int, seed: int, settings: tuple[str, ...]) -> list[str]:
    """Runs, kills and compares; a run that ends before all kills are spent is compared, and another one started.

    Args:
        folder: for the runs.
        kills: how many.
        seed: of the moments.
        settings: options of the search.

    Returns:
        Where each kill struck.

    Raises:
        RuntimeError: a resumed run failed or ended in other bits.
    """
    moments = random.Random(seed)
    began = time.monotonic()
    finish(start(folder / "whole", *settings))
    span = time.monotonic() - began
    want, struck = results(folder / "whole"), []
    run, out = 0, folder / "killed-0"
    options = (*settings, "--checkpoint-every", "1", "--keep", "2", "--resume")
    while len(struck) < kills:
        config, before = out / "config.json", stamp(out / "config.json")
        process = start(out, *options)
        while stamp(config) == before and process.poll() is None:  # imports; the checkpoint is loaded after
            time.sleep(0.005)
        try:
            process.wait(moments.uniform(0, span / 4))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            state = load_checkpoint(out / "checkpoint.pt")
            struck.append(f"run {run}, after epoch {state['epoch']} and {state['step']} steps")
            continue
        finish(process)
        _compare(out, want)
        run, out = run + 1, folder / f"killed-{run + 1}"
    finish(start(out, *options))
    _compare(out, want)
    return struck


def _compare(out: Path, want: dict[str, Any]) -> None:
    got = results(out)
    different = [name for name in want if not same(got[name], want[name])]
    different += [name for name in want["state"] if not same(got["state"][name], want["state"][name])]
    if different:
        raise RuntimeError(f"{out}: a run that was killed and resumed differs in {', '.join(different)}")
    left = [path.name for path in out.iterdir() if path.name.endswith(".tmp")]
    if left:
        raise RuntimeError(f"{out}: half-written files are left: {', '.join(left)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="of the moments; drawn if not given")
    chosen = parser.parse_args()
    drawn = random.randrange(10**6) if chosen.seed is None else chosen.seed
    print(f"{chosen.kills} kills, --seed {drawn}: {' '.join(SETTINGS)}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        for number, where in enumerate(soak(Path(name), chosen.kills, drawn, SETTINGS), start=1):
            print(f"{number:3}: {where}")
    print("every run ended in the bits of the uninterrupted one: genotype, α, w, optimisers, generators, metrics")

"""Images a second of the whole search loop: ``python tests/benchmarks/bench_search_loop.py``.

Whole epochs as users run them (batches with augmentation, α and w steps, evaluation, metrics, checkpoint), on fused
operations and on the twin, each search in a process of its own, in turn. Images count once for w and once for α; those
held out, 0.4 for each image of w as in CIFAR-10, do not count but take their time. The pytest form, ``pytest
tests/benchmarks/bench_search_loop.py``, runs a small network.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from amended_darts import Callback, SearchConfig, custom_data, search

if __package__ in (None, ""):  # run as a script
    sys.path.insert(0, str(Path(__file__).parent))
    from devices import conditions, write_json
    from tables import images
else:
    from .devices import conditions, write_json
    from .tables import images

CASES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "digits": ((1, 8, 8), {"space": "darts", "cells": 3, "channels": 8}),
    "CIFAR-10": ((3, 32, 32), {"space": "darts8", "cells": 8, "channels": 16}),
}
"""Shape of an image and settings: those of make demo, and those of DARTS."""
ESTIMATORS = ("first_order", "amended")
IMPLEMENTATIONS = ("fused", "reference")


class Clock(Callback):
    """From the first batch to the checkpoint after the epoch."""

    seconds = 0.0

    def on_start(self, state: Any) -> None:
        self.began = time.perf_counter()

    def on_epoch(self, state: Any, metrics: dict[str, Any]) -> None:
        self.seconds = time.perf_counter() - self.began


def throughput(case: str, estimator: str, implementation: str, steps: int, batch: int, **settings: Any) -> float:
    """Images a second over an epoch of so many steps."""
    shape, given = CASES[case]
    count = steps * batch
    generator = torch.Generator().manual_seed(0)

    def pictures(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = torch.randint(256, (number, *shape), dtype=torch.uint8, generator=generator)
        return pixels, torch.randint(10, (number,), generator=generator)

    augmented = {"pad": 4, "flip": True} if shape[0] == 3 else {}
    data = custom_data(pictures(2 * count), pictures(max(2, int(0.4 * count))), classes="0123456789", **augmented)
    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        config = SearchConfig(
            **{**given, **settings},
            batch_size=batch,
            epochs=1,
            estimator=estimator,
            implementation=implementation,
            device="cpu",
            out=out,
        )
        search(config, data=data, callbacks=[clock])
    return 2 * count / clock.seconds


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_search_loop(benchmark: Any, estimator: str, implementation: str) -> None:
    benchmark.group = estimator
    arguments = ("digits", estimator, implementation, 2, 8)
    assert benchmark.pedantic(throughput, arguments, {"space": "s2", "channels": 2}, rounds=1) > 0


def measure(*arguments: object) -> float:
    """:func:`throughput` in a process of its own."""
    command = [sys.executable, __file__, "--one", *map(str, arguments)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1])


def main(cases: list[str], steps: int, batch: int, rounds: int, threads: int, out: Path | None) -> None:
    """Prints the table, and writes what is in it as JSON where ``out`` says."""
    print(f"Images a second of whole epochs of {steps} steps, batch {batch}, {threads} threads, float32, ", end="")
    print(f"torch {torch.__version__}; medians of {rounds} interleaved rounds\n")
    told = {"steps": steps, "batch": batch, "rounds": rounds, "threads": threads}
    results: dict[str, Any] = {"benchmark": "search_loop", "conditions": conditions("cpu"), **told, "rows": []}
    for case in cases:
        shape, given = CASES[case]
        for estimator in ESTIMATORS:
            found: dict[str, list[float]] = {name: [] for name in IMPLEMENTATIONS}
            for _ in range(rounds):
                for name in IMPLEMENTATIONS:
                    found[name].append(measure(case, estimator, name, steps, batch, threads))
            row = {
                "images": f"{case} {'x'.join(map(str, shape))}",
                "network": f"{given['space']}, {given['cells']} cells x {given['channels']}",
                "estimator": estimator,
                **{name: statistics.median(values) for name, values in found.items()},
            }
            results["rows"].append(row)
    print(images(results))
    if out is not None:
        write_json(out, results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=tuple(CASES), default=list(CASES))
    parser.add_argument("--steps", type=int, default=4, help="in an epoch")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        kind, gradient, operations, *numbers = options.one
        number_of_steps, size_of_batch, number_of_threads = map(int, numbers)
        torch.set_num_threads(number_of_threads)
        print(throughput(kind, gradient, operations, number_of_steps, size_of_batch))
    else:
        main(options.cases, options.steps, options.batch, options.rounds, options.threads, options.json)

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
from typing import Any

import pytest
import torch
from amended_darts import Callback, SearchConfig, custom_data, search

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

    def images(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = torch.randint(256, (number, *shape), dtype=torch.uint8, generator=generator)
        return pixels, torch.randint(10, (number,), generator=generator)

    augmented = {"pad": 4, "flip": True} if shape[0] == 3 else {}
    data = custom_data(images(2 * count), images(max(2, int(0.4 * count))), classes="0123456789", **augmented)
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


def main(cases: list[str], steps: int, batch: int, rounds: int, threads: int) -> None:
    print(f"Images a second of whole epochs of {steps} steps, batch {batch}, {threads} threads, float32, ", end="")
    print(f"torch {torch.__version__}; medians of {rounds} interleaved rounds\n")
    print("| images | network | α gradient | fused | twin | fused is faster by |\n|---|---|---|---|---|---|")
    for case in cases:
        shape, given = CASES[case]
        for estimator in ESTIMATORS:
            found: dict[str, list[float]] = {name: [] for name in IMPLEMENTATIONS}
            for _ in range(rounds):
                for name in IMPLEMENTATIONS:
                    found[name].append(measure(case, estimator, name, steps, batch, threads))
            fused, twin = (statistics.median(found[name]) for name in IMPLEMENTATIONS)
            size = "x".join(map(str, shape))
            network = f"{given['space']}, {given['cells']} cells x {given['channels']}"
            print(
                f"| {case} {size} | {network} | {estimator} | {fused:.1f} | {twin:.1f} | {fused / twin:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=tuple(CASES), default=list(CASES))
    parser.add_argument("--steps", type=int, default=4, help="in an epoch")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        kind, gradient, operations, *numbers = options.one
        number_of_steps, size_of_batch, number_of_threads = map(int, numbers)
        torch.set_num_threads(number_of_threads)
        print(throughput(kind, gradient, operations, number_of_steps, size_of_batch))
    else:
        main(options.cases, options.steps, options.batch, options.rounds, options.threads)

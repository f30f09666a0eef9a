"""Whole search steps of the super-network: ``python tests/benchmarks/bench_search_step.py``.

One weight step (forward, backward, clipping, SGD) on the fused operator and on the twin, with the growth of the
resident memory's peak; and one amended α step in units of a plain forward and backward, all on the fused operator. The
pytest form, ``pytest tests/benchmarks/bench_search_step.py``, runs a small network.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from amended_darts import Architecture, SuperNet, find_space
from amended_darts.hypergradient import amended, first_order, frozen_buffers
from torch import Tensor

if __package__ in (None, ""):  # run as a script
    sys.path.insert(0, str(Path(__file__).parent))
    from devices import conditions, seconds, write_json
    from peak_memory import peak_in_own_process, print_growth
    from tables import alpha, weight
else:
    from .devices import conditions, seconds, write_json
    from .peak_memory import peak_in_own_process, print_growth
    from .tables import alpha, weight

VARIANTS = ("fused", "eager NCHW", "eager channels_last")


class Steps:
    """A super-network of the darts8 space with its optimiser and two batches of colour images."""

    def __init__(self, variant: str, cells: int, channels: int, batch: int, size: int) -> None:
        torch.manual_seed(0)
        space = find_space("darts8")
        implementation = "fused" if variant == "fused" else "reference"
        self.network = SuperNet(space, 10, cells=cells, channels=channels, implementation=implementation)
        self.architecture = Architecture(space, cells)
        self.format = torch.channels_last if variant.endswith("channels_last") else torch.contiguous_format
        self.network = self.network.to(memory_format=self.format)
        self.optimizer = torch.optim.SGD(self.network.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)
        self.batches = [
            (torch.randn(batch, 3, size, size).contiguous(memory_format=self.format), torch.randint(10, (batch,)))
            for _ in range(2)
        ]

    def loss(self, which: int = 0) -> Tensor:
        images, labels = self.batches[which]
        return F.cross_entropy(self.network(images, self.architecture.weights()), labels)

    def weight_step(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.loss().backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()

    def plain(self) -> None:
        """A forward and backward with the gradients of weights and alphas."""
        torch.autograd.grad(self.loss(), [*self.network.parameters(), *self.architecture.parameters()])

    def alpha_step(self, estimator: Callable[..., list[Tensor]], **settings: float) -> None:
        weights, alphas = list(self.network.parameters()), list(self.architecture.parameters())
        with frozen_buffers(self.network):
            estimator(self.loss, lambda: self.loss(1), weights, alphas, **settings)


@pytest.mark.parametrize("step", ["weight step", "plain", "first order", "amended"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_search_step(benchmark: Any, variant: str, step: str) -> None:
    steps = Steps(variant, cells=3, channels=4, batch=8, size=16)
    calls: dict[str, Callable[[], None]] = {
        "weight step": steps.weight_step,
        "plain": steps.plain,
        "first order": lambda: steps.alpha_step(first_order),
        "amended": lambda: steps.alpha_step(amended, rho=1.0),
    }
    benchmark.group = step
    benchmark(calls[step])


def timed(calls: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each call; every round has each of them once."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call, "cpu"))
    return {name: statistics.median(kept) for name, kept in times.items()}


def main(shape: list[int], rounds: int, threads: int, out: Path | None) -> None:
    """Prints the tables, and writes what is in them as JSON where ``out`` says."""
    torch.set_num_threads(threads)
    cells, channels, batch, size = shape
    print(f"darts8, {cells} cells x {channels} channels, batch {batch}, {size}x{size}, {threads} threads, ", end="")
    print(f"torch {torch.__version__}; medians of {rounds} interleaved rounds")
    steps = {variant: Steps(variant, *shape) for variant in VARIANTS}
    for each in steps.values():
        each.weight_step()
    medians = timed({variant: each.weight_step for variant, each in steps.items()}, rounds)
    peaks = {v: peak_in_own_process(__file__, "--peak", v, "--shape", *shape) for v in VARIANTS}
    fused = steps["fused"]
    calls: dict[str, Callable[[], None]] = {
        "forward and backward": fused.plain,
        "first-order α step": lambda: fused.alpha_step(first_order),
        "amended α step": lambda: fused.alpha_step(amended, rho=1.0),
    }
    results = {
        "benchmark": "search_step",
        "conditions": conditions("cpu"),
        "shape": dict(zip(("cells", "channels", "batch", "size"), shape, strict=True)),
        "threads": threads,
        "rounds": rounds,
        "weight_steps": [{"variant": v, "seconds": medians[v], "peak bytes": peaks[v]} for v in VARIANTS],
        "alpha_steps": [{"step": name, "seconds": value} for name, value in timed(calls, rounds).items()],
    }
    print(f"{weight(results)}\n\n{alpha(results)}")
    if out is not None:
        write_json(out, results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shape", type=int, nargs=4, default=[8, 16, 64, 32], metavar=("CELLS", "CHANNELS", "BATCH", "SIZE")
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--peak", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        measured = Steps(options.peak, *options.shape)
        small = Steps(options.peak, *options.shape[:2], 2, options.shape[3])
        small.weight_step()  # code and thread pools
        print_growth(measured.weight_step)
    else:
        main(options.shape, options.rounds, options.threads, options.json)

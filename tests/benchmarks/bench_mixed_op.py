"""The fused mixed op against PyTorch: ``pytest tests/benchmarks/bench_mixed_op.py``.

Forward and backward of one edge with the eight DARTS candidates, float32, N = 64; ``extra_info`` has saved and peak
bytes. ``python tests/benchmarks/bench_mixed_op.py`` prints the table: medians of interleaved rounds, ratios to the
eager twin in NCHW, saved and peak activations, and the share of the rate of a matrix product.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

if __package__ in (None, ""):  # run as a script
    sys.path.insert(0, str(Path(__file__).parent))
    from mixed_op_variants import SHAPES, VARIANTS, Shape, saved_bytes, step
    from peak_memory import peak_in_own_process, print_growth
else:
    from .mixed_op_variants import SHAPES, VARIANTS, Shape, saved_bytes, step
    from .peak_memory import peak_in_own_process, print_growth


@functools.cache
def peak_bytes(variant: str, shape: Shape) -> int:
    """Growth of the resident memory's peak over one step, in a process of its own."""
    return peak_in_own_process(__file__, "--peak", variant, shape.channels, shape.size, shape.stride)


def _print_peak(variant: str, channels: int, size: int, stride: int) -> None:
    shape = Shape(channels, size, stride)
    small = Shape(channels, size, stride, batch=2)
    step(variant, stride, small.arguments(VARIANTS[variant][1]))  # code, thread pools, compiled graphs
    arguments = shape.arguments(VARIANTS[variant][1])
    print_growth(lambda: step(variant, stride, arguments))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("variant", list(VARIANTS))
def test_forward_and_backward(benchmark: Any, variant: str, shape: Shape) -> None:
    arguments = shape.arguments(VARIANTS[variant][1])
    benchmark.group = str(shape)
    benchmark.extra_info["saved bytes"] = saved_bytes(variant, shape)
    benchmark.extra_info["peak bytes"] = peak_bytes(variant, shape)
    benchmark(step, variant, shape.stride, arguments)


def product_rate() -> float:
    """FLOP/s of a 1024³ float32 matrix product: what this machine can do with the threads it has."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    times = []
    for _ in range(20):
        began = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - began)
    return 2 * 1024**3 / min(times)


def flops(shape: Shape) -> int:
    """Least FLOPs of a step: each convolution forward, and its two gradients."""
    from torch.utils.flop_counter import FlopCounterMode

    x, weights, params = shape.arguments()
    with FlopCounterMode(display=False) as counter:
        VARIANTS["fused"][0](shape.stride, x, weights, params)
    return 3 * counter.get_total_flops()


def main(rounds: int, threads: list[int], variants: list[str]) -> None:
    """Prints the table."""
    isa = torch.ops.amended_darts._cpu_isa()
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, instruction set of the fused kernels: {isa}")
    print(f"one edge, 8 candidates, float32, N = 64, forward + backward, medians of {rounds} interleaved rounds")
    print("| shape | threads | variant | ms | eager NCHW / it | of product rate | saved, in x | peak, in x |")
    print("|---|---|---|---|---|---|---|---|")
    for count in threads:
        torch.set_num_threads(count)
        rate = product_rate()
        for shape in SHAPES:
            arguments = {v: shape.arguments(VARIANTS[v][1]) for v in variants}
            times: dict[str, list[float]] = {v: [] for v in variants}
            for v in variants:
                step(v, shape.stride, arguments[v])
            for _ in range(rounds):
                for v in variants:
                    began = time.perf_counter()
                    step(v, shape.stride, arguments[v])
                    times[v].append(time.perf_counter() - began)
            medians = {v: statistics.median(t) for v, t in times.items()}
            size = 4 * shape.batch * shape.channels * shape.size**2
            for v, seconds in medians.items():
                print(
                    f"| {shape} | {count} | {v} | {1e3 * seconds:.1f} | {medians['eager NCHW'] / seconds:.2f} "
                    f"| {flops(shape) / seconds / rate:.0%} | {saved_bytes(v, shape) / size:.2f} "
                    f"| {peak_bytes(v, shape) / size:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds (default 9)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default 1 2)")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), help="which to run (default all)")
    parser.add_argument("--peak", nargs=4, metavar=("VARIANT", "CHANNELS", "SIZE", "STRIDE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        _print_peak(options.peak[0], *map(int, options.peak[1:]))
    else:
        main(options.rounds, options.threads, options.variants)

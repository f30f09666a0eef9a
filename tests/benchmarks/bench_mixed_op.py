"""The fused mixed op against PyTorch: ``pytest tests/benchmarks/bench_mixed_op.py``.

Forward and backward of one edge with the eight DARTS candidates, float32, N = 64; ``extra_info`` has saved and peak
bytes. ``python tests/benchmarks/bench_mixed_op.py`` prints the table: medians of interleaved rounds, ratios to the
eager twin in NCHW, saved and peak activations, and the share of the rate of a matrix product. ``--device cuda``
measures a GPU, by events.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

if __package__ in (None, ""):  # run as a script
    sys.path.insert(0, str(Path(__file__).parent))
    from devices import DEVICES, conditions, cuda_growth, interleaved_medians, seconds, write_json
    from mixed_op_variants import SHAPES, SMALL_SHAPES, VARIANTS, Shape, saved_bytes, step
    from peak_memory import peak_in_own_process, print_growth
else:
    from .devices import DEVICES, conditions, cuda_growth, interleaved_medians, seconds, write_json
    from .mixed_op_variants import SHAPES, SMALL_SHAPES, VARIANTS, Shape, saved_bytes, step
    from .peak_memory import peak_in_own_process, print_growth


@functools.cache
def peak_bytes(variant: str, shape: Shape) -> int:
    """Growth of the resident memory's peak over one step, in a process of its own."""
    return peak_in_own_process(__file__, "--peak", variant, shape.channels, shape.size, shape.stride, shape.batch)


def _print_peak(variant: str, channels: int, size: int, stride: int, batch: int) -> None:
    shape = Shape(channels, size, stride, batch)
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


def product_rate(device: str) -> float:
    """FLOP/s of a 1024³ (GPU: 8192³) float32 matrix product: what this machine can do with the threads it has."""
    size = 1024 if device == "cpu" else 8192
    a, b = (torch.randn(size, size, device=device) for _ in range(2))
    return 2 * size**3 / min(seconds(lambda: torch.mm(a, b), device) for _ in range(20))


def flops(shape: Shape) -> int:
    """Least FLOPs of a step: each convolution forward, and its two gradients."""
    from torch.utils.flop_counter import FlopCounterMode

    x, weights, params = shape.arguments()
    with FlopCounterMode(display=False) as counter:
        VARIANTS["fused"][0](shape.stride, x, weights, params)
    return 3 * counter.get_total_flops()


def measure_shape(shape: Shape, variants: list[str], rounds: int, device: str) -> list[dict[str, Any]]:
    """A row for each variant; seconds of forward and backward."""
    rate = product_rate(device)
    arguments = {v: shape.arguments(VARIANTS[v][1], device) for v in variants}
    calls = {v: functools.partial(step, v, shape.stride, arguments[v]) for v in variants}
    medians = interleaved_medians(calls, rounds, device)
    baseline = medians.get("eager NCHW", medians[variants[0]])
    return [
        {
            "shape": str(shape),
            "batch": shape.batch,
            "threads": torch.get_num_threads() if device == "cpu" else None,
            "variant": v,
            "seconds": medians[v],
            "eager NCHW / it": baseline / medians[v],
            "of product rate": flops(shape) / medians[v] / rate,
            "x bytes": 4 * shape.batch * shape.channels * shape.size**2,
            "saved bytes": saved_bytes(v, shape, device),
            "peak bytes": peak_bytes(v, shape) if device == "cpu" else cuda_growth(calls[v]),
        }
        for v in variants
    ]


def print_row(row: dict[str, Any]) -> None:
    threads = f"{row['threads']} threads" if row["threads"] else "GPU"
    print(
        f"| {row['shape']} | {threads} | {row['variant']} | {1e3 * row['seconds']:.3g} | {row['eager NCHW / it']:.2f} "
        f"| {row['of product rate']:.0%} | {row['saved bytes'] / row['x bytes']:.2f} "
        f"| {row['peak bytes'] / row['x bytes']:.1f} |",
        flush=True,
    )


def main(
    rounds: int, threads: list[int], variants: list[str], device: str, small: bool, out: Path | None
) -> list[dict[str, Any]]:
    """Prints the table, and writes it as JSON where ``out`` says."""
    torch.backends.cudnn.allow_tf32 = False  # all of them multiply in float32
    told = conditions(device)
    print(", ".join(f"{name} {value}" for name, value in told.items()))
    print(f"one edge, 8 candidates, float32, forward + backward, medians of {rounds} interleaved rounds")
    print("| shape | threads | variant | ms | eager NCHW / it | of product rate | saved, in x | peak, in x |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for count in threads if device == "cpu" else [torch.get_num_threads()]:
        torch.set_num_threads(count)
        for shape in SMALL_SHAPES if small else SHAPES:
            for row in measure_shape(shape, variants, rounds, device):
                print_row(row)
                rows.append(row)
    if out is not None:
        write_json(out, {"benchmark": "mixed_op", "conditions": told, "rounds": rounds, "rows": rows})
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds (default 9)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default 1 2)")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), help="which to run (default all)")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="cuda: times by events (default cpu)")
    parser.add_argument("--small", action="store_true", help="small shapes: a rehearsal")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument(
        "--peak", nargs=5, metavar=("VARIANT", "CHANNELS", "SIZE", "STRIDE", "BATCH"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.peak:
        _print_peak(options.peak[0], *map(int, options.peak[1:]))
    else:
        main(options.rounds, options.threads, options.variants, options.device, options.small, options.json)

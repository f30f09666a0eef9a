"""The perturbation operators against torch._foreach_*: ``pytest tests/benchmarks/bench_perturbation.py``.

Rows are operators, networks and implementations; ``extra_info`` has the bytes that each must move. A table of ratios:
``python tests/benchmarks/bench_perturbation.py``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from amended_darts import SuperNet, find_space
from torch import Tensor

import amended_darts_ext as ext

NETWORKS = {"8 cells x 16 channels": (8, 16), "20 cells x 36 channels": (20, 36)}


def weight_lists(cells: int, channels: int) -> list[list[Tensor]]:
    """Three lists with the shapes of the darts8 super-network's weights."""
    with torch.device("meta"):
        network = SuperNet(find_space("darts8"), classes=10, cells=cells, channels=channels)
    return [[torch.randn(p.shape) for p in network.parameters()] for _ in range(3)]


def operations(lists: list[list[Tensor]]) -> dict[str, tuple[Callable[[], Any], Callable[[], Any], float, float]]:
    """Per operation: fused call, torch._foreach_* composition, passes over the weights that either one makes."""
    a, b, c = lists
    step = torch.tensor(1e-3)
    scale = 0.5 / step

    def foreach_perturb() -> None:
        torch._foreach_copy_(a, torch._foreach_add(b, torch._foreach_mul(c, step)))

    return {
        "global_norm": (
            lambda: ext.global_norm(a),
            lambda: torch.linalg.vector_norm(torch.stack(torch._foreach_norm(a))),
            1,
            1,
        ),
        "perturb_": (lambda: ext.perturb_(a, b, c, step), foreach_perturb, 3, 7),
        "central_difference": (
            lambda: ext.central_difference(b, c, step),
            lambda: torch._foreach_mul(torch._foreach_sub(b, c), scale),
            3,
            5,
        ),
    }


@pytest.mark.parametrize("network", list(NETWORKS))
@pytest.mark.parametrize("implementation", ["fused", "foreach"])
@pytest.mark.parametrize("name", ["global_norm", "perturb_", "central_difference"])
def test_perturbation(benchmark: Any, name: str, implementation: str, network: str) -> None:
    lists = weight_lists(*NETWORKS[network])
    fused, foreach, fused_passes, foreach_passes = operations(lists)[name]
    size = sum(t.numel() for t in lists[0]) * 4
    benchmark.group = f"{name}, {network}"
    benchmark.extra_info["bytes"] = int(size * (fused_passes if implementation == "fused" else foreach_passes))
    benchmark.extra_info["tensors"] = len(lists[0])
    benchmark(fused if implementation == "fused" else foreach)


def main(rounds: int = 41) -> None:
    """Interleaved medians: each round times one after the other."""
    print(f"torch {torch.__version__}, float32, medians of {rounds} interleaved rounds")
    print("| network | threads | operation | fused ms | foreach ms | ratio | bytes fused / foreach |")
    print("|---|---|---|---|---|---|---|")
    for network, (cells, channels) in NETWORKS.items():
        lists = weight_lists(cells, channels)
        label = f"{network}: {sum(t.numel() for t in lists[0]) / 1e6:.2f} M in {len(lists[0])} tensors"
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for name, (fused, foreach, fused_passes, foreach_passes) in operations(lists).items():
                times: tuple[list[float], list[float]] = ([], [])
                for _ in range(rounds):
                    for call, kept in zip((fused, foreach), times, strict=True):
                        began = time.perf_counter()
                        call()
                        kept.append(time.perf_counter() - began)
                a, b = (1e3 * statistics.median(kept) for kept in times)
                print(
                    f"| {label} | {threads} | {name} | {a:.2f} | {b:.2f} | {b / a:.1f} | "
                    f"{fused_passes / foreach_passes:.2f} |"
                )


if __name__ == "__main__":
    main()

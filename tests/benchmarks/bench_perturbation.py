"""The perturbation operators against torch._foreach_*: ``pytest tests/benchmarks/bench_perturbation.py``.

Rows are operators, networks and implementations; ``extra_info`` has the bytes that each must move. A table of ratios:
``python tests/benchmarks/bench_perturbation.py``; on a GPU with ``--device cuda``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from amended_darts import SuperNet, find_space
from torch import Tensor

import amended_darts_ext as ext

if __package__ in (None, ""):  # run as a script
    sys.path.insert(0, str(Path(__file__).parent))
    from devices import DEVICES, conditions, interleaved_medians, write_json
else:
    from .devices import DEVICES, conditions, interleaved_medians, write_json

NETWORKS = {"8 cells x 16 channels": (8, 16), "20 cells x 36 channels": (20, 36)}


def weight_lists(cells: int, channels: int, device: str = "cpu") -> list[list[Tensor]]:
    """Three lists with the shapes of the darts8 super-network's weights."""
    with torch.device("meta"):
        network = SuperNet(find_space("darts8"), classes=10, cells=cells, channels=channels)
    return [[torch.randn(p.shape, device=device) for p in network.parameters()] for _ in range(3)]


def operations(lists: list[list[Tensor]]) -> dict[str, tuple[Callable[[], Any], Callable[[], Any], float, float]]:
    """Per operation: fused call, torch._foreach_* composition, passes over the weights that either one makes."""
    a, b, c = lists
    step = torch.tensor(1e-3, device=a[0].device)
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


def main(rounds: int = 41, device: str = "cpu", small: bool = False, out: Path | None = None) -> list[dict[str, Any]]:
    """Interleaved medians: each round times one after the other. Writes the rows where ``out`` says."""
    told = conditions(device)
    print(", ".join(f"{name} {value}" for name, value in told.items()))
    print(f"float32, medians of {rounds} interleaved rounds")
    print("| network | threads | operation | fused ms | foreach ms | ratio | bytes fused / foreach |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for network, (cells, channels) in {"3 cells x 4 channels": (3, 4)}.items() if small else NETWORKS.items():
        lists = weight_lists(cells, channels, device)
        label = f"{network}: {sum(t.numel() for t in lists[0]) / 1e6:.2f} M in {len(lists[0])} tensors"
        for threads in (1, 2) if device == "cpu" and not small else (torch.get_num_threads(),):
            torch.set_num_threads(threads)
            for name, (fused, foreach, fused_passes, foreach_passes) in operations(lists).items():
                medians = interleaved_medians({"fused": fused, "foreach": foreach}, rounds, device)
                a, b, part = 1e3 * medians["fused"], 1e3 * medians["foreach"], fused_passes / foreach_passes
                count = f"{threads}" if device == "cpu" else "GPU"
                print(f"| {label} | {count} | {name} | {a:.3g} | {b:.3g} | {b / a:.1f} | {part:.2f} |", flush=True)
                row = {"network": network, "threads": threads if device == "cpu" else None, "operation": name}
                rows.append({**row, **{f"{k} seconds": v for k, v in medians.items()}, "bytes fused / foreach": part})
    if out is not None:
        write_json(out, {"benchmark": "perturbation", "conditions": told, "rounds": rounds, "rows": rows})
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=41, help="interleaved rounds (default 41)")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="cuda: times by events (default cpu)")
    parser.add_argument("--small", action="store_true", help="a small network: a rehearsal")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    main(options.rounds, options.device, options.small, options.json)

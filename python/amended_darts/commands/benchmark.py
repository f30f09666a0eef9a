"""``amended-darts benchmark``: what a search takes; ``memory`` is the kind there is, its options MemoryConfig's."""

from __future__ import annotations

from typing import Any

from amended_darts.benchmark.config import MemoryConfig
from amended_darts.commands.options import add_options, read_options
from amended_darts.commands.results import show

HELP = "benchmark memory: saved bytes, peaks and largest batches of fused and plain super-networks"
KINDS = ("memory",)


def add_arguments(parser: Any) -> None:
    """The kind, then one option per field of MemoryConfig."""
    parser.add_argument("kind", choices=KINDS, help="what to benchmark: memory, bytes and the batches that fit")
    add_options(parser, MemoryConfig)


def run(options: Any) -> int:
    """Runs the benchmark, prints its tables and where everything lies."""
    config = read_options(MemoryConfig, options)
    config.check()  # before torch is imported: wrong options are told at once
    from amended_darts.benchmark.study import run_benchmark
    from amended_darts.benchmark.table import describe

    results = run_benchmark(config, say=lambda line: print(f"{line} ...", flush=True))
    show(describe(results), config.out, ("memory.json", "memory.txt", "memory.png"))
    return 0

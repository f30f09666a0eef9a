"""``amended-darts fidelity``: every estimator of the α gradient against the exact one; options are FidelityConfig's."""

from __future__ import annotations

from typing import Any

from amended_darts.commands.options import add_options, read_options
from amended_darts.commands.results import show
from amended_darts.fidelity.config import FidelityConfig

HELP = "measure every estimator of the α gradient against the exact one"


def add_arguments(parser: Any) -> None:
    """One option per field of FidelityConfig."""
    add_options(parser, FidelityConfig)


def run(options: Any) -> int:
    """Runs the study, prints its tables and where everything lies."""
    config = read_options(FidelityConfig, options)
    config.resolved()  # before torch is imported: wrong options are told at once
    from amended_darts.fidelity import describe, run_study

    results = run_study(config, say=lambda line: print(f"{line} ...", flush=True))
    show(describe(results), config.out, ("fidelity.json", "fidelity.txt", "fidelity.png"))
    return 0

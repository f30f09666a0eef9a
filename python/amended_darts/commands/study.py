"""``amended-darts study``: the same search with every estimator and several seeds; options are StudyConfig's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amended_darts.commands.options import add_options, read_options
from amended_darts.commands.results import show
from amended_darts.study.config import StudyConfig

HELP = "measure how stable searches are: every estimator, several seeds, what they find trained from scratch"


def add_arguments(parser: Any) -> None:
    """One option per field of StudyConfig."""
    add_options(parser, StudyConfig)


def run(options: Any) -> int:
    """Runs the study, prints its tables and where everything lies."""
    config = read_options(StudyConfig, options)
    config.resolved()  # before torch is imported: wrong options are told at once
    from amended_darts.study import run_study, tables

    results = run_study(config, say=lambda line: print(line, flush=True))
    show(tables(results), Path(config.out) / config.setting, ("study.json", "study.md", "study.png"))
    return 0

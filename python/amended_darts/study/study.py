"""The study from beginning to end: searches, judge, results."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from amended_darts.extras import require
from amended_darts.files import write_text
from amended_darts.study.config import StudyConfig
from amended_darts.study.judge import judge
from amended_darts.study.results import folder, gather
from amended_darts.study.runs import plan, run_all
from amended_darts.study.table import tables


def run_study(config: StudyConfig, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Runs what is not done yet, and writes study.json, study.md and study.png to the setting's folder in ``--out``.

    Each search and each training has a folder of its own there and resumes from its checkpoint: the same command goes
    on where an interrupted one stopped.

    Args:
        say: gets a line when something is done.

    Returns:
        what study.json holds, see :func:`amended_darts.study.results.gather`.

    Raises:
        InputError: a setting out of range, no data, a folder that cannot be written to or that holds other searches.
        RunError: a process died, a file could not be written. A search whose loss is not finite is counted, no error.
        Interrupted: Ctrl-C, after every search saved a checkpoint.
    """
    config.resolved()
    require("matplotlib", "the study's picture")
    from amended_darts.study.plot import draw

    runs = plan(config)
    failures = run_all(runs, config.processes, say) if config.search else {}
    if config.judge:
        judge(config, runs, say)
    results = gather(config, runs, failures)
    out = folder(config)
    write_text(out / "study.json", json.dumps(results, separators=(",", ":"), allow_nan=False) + "\n")
    write_text(out / "study.md", tables(results))
    draw(results, out / "study.png")
    return results

"""The searches of the study: each in a folder of its own, resumed where it stopped, several at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from amended_darts.config import SearchConfig
from amended_darts.errors import RunError
from amended_darts.files import prepare_folder, write_text
from amended_darts.metrics import FILE, read_lines
from amended_darts.spaces import SPACES, space_to_json
from amended_darts.study.config import StudyConfig
from amended_darts.study.pool import each
from amended_darts.study.settings import Row, Setting


@dataclass(frozen=True)
class Run:
    """One search of the study."""

    row: str
    seed: int
    config: SearchConfig
    samples_every: int

    @property
    def out(self) -> Path:
        return Path(self.config.out)

    @property
    def done(self) -> bool:
        """All its epochs are behind it."""
        return len(self.metrics) == self.config.epochs and (self.out / "alphas.png").exists()

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl so far."""
        return read_lines(self.out / FILE)


def plan(config: StudyConfig) -> list[Run]:
    """All searches: first the rows with all seeds, the first seed of each before the second, so that a study that is
    cut short compares rows; then the others in the same way."""
    setting, rows = config.resolved()
    out = Path(config.out) / config.setting
    prepare_folder(out, "--out")
    counts = {name: min(config.seeds, row.seeds or config.seeds) for name, row in rows.items()}
    order = [(-count, seed, name) for name, count in counts.items() for seed in range(count)]
    runs = []
    for _, seed, name in sorted(order, key=lambda entry: entry[:2]):  # stable: rows in the setting's order
        folder = out / name.replace(", ", "-").replace(" ", "-").replace("/", "-by-").replace("*", "-times-")
        search = SearchConfig(**_settings(config, setting, rows[name], out))
        search = replace(search, seed=seed, out=str(folder / f"seed-{seed}"), resume=True)
        runs.append(Run(name, seed, search, setting.samples_every))
    return runs


def _settings(config: StudyConfig, setting: Setting, row: Row, out: Path) -> dict[str, Any]:
    values = {"data": config.data, "root": config.root, **setting.search}
    if config.epochs is not None:
        values["epochs"] = config.epochs
    values |= {"recompute": "never", **row.changes}
    if row.fixed:
        values["alpha_start_epoch"] = values["epochs"]
    if not row.none:
        values["space"] = _without_none(values["space"], out)
    return values


def _without_none(name: str, out: Path) -> str:
    """The space without the operator none: its own name where it has none, else a file that is written to ``out``.

    What a search gives an edge as ``none`` says little: every scale of the other operators is the same to batch
    normalisation (arXiv 1806.09055, section 3.4, ignores it too)."""
    space = SPACES[name]
    if all("none" not in names for names in space.normal):
        return name
    normal = tuple(tuple(op for op in names if op != "none") for names in space.normal)
    path = out / f"{name}-without-none.json"
    text = space_to_json(replace(space, name=f"{name}-without-none", normal=normal, keep_none=False))
    if not path.exists() or path.read_text() != text:
        write_text(path, text)
    return str(path)


def run_all(runs: list[Run], processes: int, say: Callable[[str], None]) -> dict[str, str]:
    """Runs what is not done yet. One search that fails (a loss that is not finite) does not end the others.

    Returns:
        what went wrong, by the folder of the run.
    """
    left = [run for run in runs if not run.done]
    if len(left) < len(runs):
        say(f"{len(runs) - len(left)} of {len(runs)} searches are done already")
    failures = {}
    for done, (run, error) in enumerate(each(_search, left, processes), 1):
        if error is not None:
            failures[run.config.out] = error
        say(f"{done} of {len(left)}: {run.row}, seed {run.seed}{': failed: ' + error if error else ''}")
    return failures


def _search(run: Run) -> str | None:
    """Runs or resumes one search; what went wrong, if anything did."""
    from amended_darts.search_loop import search
    from amended_darts.study.subnetworks import SubNetworks
    from amended_darts.study.terms import Terms

    try:
        search(run.config, callbacks=[SubNetworks(run.samples_every), Terms(run.samples_every)])
    except RunError as error:
        return str(error)
    return None

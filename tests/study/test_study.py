"""The study: plans, runs, resumes, judges, and its tables say what its runs did."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from amended_darts.cli import main
from amended_darts.errors import InputError
from amended_darts.results_page import WRITERS
from amended_darts.study import StudyConfig, run_study, tables
from amended_darts.study.runs import plan
from amended_darts.study.settings import SETTINGS
from amended_darts.study.table import markdown, rows


def test_every_setting_plans_searches_that_are_all_different(tmp_path: Path) -> None:
    for name in SETTINGS:
        runs = plan(StudyConfig(setting=name, root="data", out=str(tmp_path)))
        assert len({run.config.out for run in runs}) == len(runs)
        searched = {repr(replace(run.config, out="")) for run in runs}
        assert len(searched) == len(runs)
        for run in runs:
            run.config.resolved()


def test_one_seed_of_every_row_comes_before_the_next(tmp_path: Path) -> None:
    runs = plan(StudyConfig(out=str(tmp_path), seeds=3))
    rows = list(SETTINGS["digits"].rows)
    assert [(run.seed, run.row) for run in runs] == [(seed, row) for seed in range(3) for row in rows]


def test_the_operator_none_is_left_out_unless_a_row_has_it(tmp_path: Path) -> None:
    runs = plan(StudyConfig(setting="nasbench201", root="data", out=str(tmp_path)))
    spaces = {run.row: run.config.space for run in runs}
    assert spaces["first_order, with none"] == "nasbench201"
    written = json.loads(Path(spaces["first_order"]).read_text())
    assert "none" not in json.dumps(written["candidates"] if "candidates" in written else written["edges"])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--setting", "nasbench201"], "--root: expected the folder of CIFAR-10"),
        (["--rows", "first_order; third_order"], "got 'third_order'"),
        (["--seeds", "0"], "--seeds: expected at least 1 seed, got 0"),
        (["--setting", "moons"], "--setting: expected one of digits, nasbench201, robust-s2, got 'moons'"),
    ],
)
def test_wrong_options_are_one_sentence(
    options: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "--out", str(tmp_path), *options]) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert told.count("\n") == 1


def test_the_row_at_random_never_moves_alpha(tmp_path: Path) -> None:
    results = run_study(StudyConfig(rows="random", seeds=1, epochs=2, judge=False, out=str(tmp_path)))
    state = torch.load(tmp_path / "digits/random/seed-0/checkpoint.pt", weights_only=True)
    (alpha,) = (value for name, value in state["architecture"].items() if name.startswith("alphas"))
    assert 0 < alpha.abs().max() < 0.01  # as it was drawn
    assert "random, α never moves" in markdown(results, "estimators")


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyConfig, dict]:
    """A study of two searches of two epochs, judged."""
    out = tmp_path_factory.mktemp("study")
    config = StudyConfig(rows="first_order; amended rho=2", seeds=1, epochs=2, out=str(out))
    said: list[str] = []
    results = run_study(config, said.append)
    assert len(said) == 2 + len({run["genotype"] for run in results["runs"]})
    return config, results


def test_results_are_those_of_the_runs(studied: tuple[StudyConfig, dict]) -> None:
    config, results = studied
    folder = Path(config.out) / "digits"
    assert json.loads((folder / "study.json").read_text()) == results
    assert (folder / "study.md").read_text() == tables(results)
    assert (folder / "study.png").read_bytes().startswith(b"\x89PNG")
    assert rows(results) == ["first_order", "amended rho=2"]
    for run in results["runs"]:
        (path,) = folder.glob(f"{run['row'].replace(' ', '-')}/seed-0/metrics.jsonl")
        last = json.loads(path.read_text().splitlines()[-1])
        assert run["series"][-1]["heldout_accuracy"] == pytest.approx(last["heldout_accuracy"], rel=1e-3)
        assert run["skips"] == last["skips"]["cell"]
        assert run["edges"] == 6
        assert 0.1 < run["judged"] <= 1
    assert results["runs"][1]["series"][-1]["second_ratio"] == pytest.approx(2, rel=1e-3)


def test_a_finished_study_computes_nothing_again(studied: tuple[StudyConfig, dict]) -> None:
    config, results = studied
    files = sorted(Path(config.out).rglob("checkpoint.pt"))
    before = [path.stat().st_mtime_ns for path in files]
    assert run_study(config) == results
    assert [path.stat().st_mtime_ns for path in files] == before


def test_sigterm_stops_every_process_at_a_checkpoint_and_the_same_command_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "amended_darts", "study", "--rows", "first_order; amended rho=2", "--seeds", "1"]
    command += ["--epochs", "200", "--processes", "2", "--no-judge", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while sum(path.stat().st_size > 0 for path in tmp_path.rglob("metrics.jsonl")) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    process.terminate()
    assert process.wait(60) == 130
    assert process.stderr is not None
    assert "interrupted; the same command goes on" in process.stderr.read()
    found = list(tmp_path.rglob("checkpoint.pt"))
    assert len(found) == 2
    states = [torch.load(path, weights_only=True) for path in found]
    assert all(0 < len(state["metrics"]) < 200 for state in states)


def test_a_search_that_fails_is_counted_and_ends_no_other(studied: tuple[StudyConfig, dict]) -> None:
    _, results = studied
    failed = {"row": "first_order", "seed": 1, "epochs": 2, "failed": "the loss is not finite"}
    text = markdown({**results, "runs": [*results["runs"], failed]}, "estimators")
    assert "first order (1 failed)" in text


def test_tables_give_mean_and_deviation_over_seeds(studied: tuple[StudyConfig, dict]) -> None:
    _, results = studied
    first = results["runs"][0]
    other = json.loads(json.dumps(first))
    first, other["seed"] = json.loads(json.dumps(first)), 1
    first["judged"], other["judged"], first["skips"], other["skips"] = 0.5, 0.7, 6, 5
    lines = markdown({**results, "runs": [other, first]}, "estimators").splitlines()
    assert lines[2].startswith("| first order | 6, 5 |")
    assert ".600 ± .141" in lines[2]


def test_pages_take_tables_of_every_setting() -> None:
    assert {f"study-{name}" for name in SETTINGS} <= set(WRITERS)


def test_an_unknown_table_is_named() -> None:
    with pytest.raises(InputError, match=r"expected one of estimators, .*, got 'moons'"):
        markdown({}, "moons")

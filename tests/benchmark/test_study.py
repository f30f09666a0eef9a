"""The command: what it writes, what it does not do twice, what it refuses to measure, and the process that measures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from amended_darts.benchmark import study, table
from amended_darts.benchmark.cases import Case
from amended_darts.benchmark.config import MemoryConfig
from amended_darts.benchmark.live import Bytes
from amended_darts.benchmark.measure import measure_memory, measure_seconds
from amended_darts.benchmark.predict import Prediction, predict
from amended_darts.cli import main
from amended_darts.errors import RunError

from ..threads import one_thread  # noqa: F401

TINY = Case("s2", 2, 4, 8, 16)


def _predict(case: Case, variant: str, *_: Any) -> Prediction:
    factor = {"eager": 20, "checkpoint": 3, "fused, kept": 8}.get(variant, 1)
    peaks = {"weight": [Bytes(1000, 100 * factor)], "alpha": [Bytes(1500, 110 * factor)]}
    return Prediction(Bytes(0, 90 * factor), peaks)


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Predictions and measurements made up; the variants that were measured."""
    measured: list[str] = []

    def measure(case: Case, variant: str, device: str, threads: int) -> dict[str, Any]:
        measured.append(variant)
        if variant == "checkpoint":
            raise RunError("it failed")
        prediction = _predict(case, variant)
        peak = {step: 2 * prediction.peak(step, case.batch) + 512 for step in ("weight", "alpha")}
        return {"saved": prediction.saved.at(case.batch), "peak": peak, "kept": 512}

    def time(case: Case, variants: list[str], *_: Any) -> dict[str, Any]:
        return {"seconds": {variant: 1.0 + len(variant) for variant in variants}}

    monkeypatch.setattr(study, "predict", _predict)
    monkeypatch.setattr(study, "measure_memory", measure)
    monkeypatch.setattr(study, "measure_seconds", time)
    return measured


def test_command_writes_what_it_found(tmp_path: Path, stubbed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "memory", "--quick", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    for name in ("memory.json", "memory.txt", "memory.png"):
        assert (tmp_path / name).stat().st_size > 0
        assert str(tmp_path / name) in told
    results = json.loads((tmp_path / "memory.json").read_text())
    assert len(results["rows"]) == 2 * 5
    fused = next(row for row in results["rows"] if row["variant"] == "fused")
    assert fused["largest"]["8"] == (8 * 10**9 - 1500) // 110
    assert fused["predicted"]["saved"] == 8 * 90
    assert fused["seconds"] == 6.0
    assert "20.0" in table.markdown(results, "saved")
    assert "−50.0%" in table.markdown(results, "measured")
    assert "checkpoint: not measured: it failed" in told
    assert (tmp_path / "memory.txt").read_text() in told


def test_what_is_known_is_not_done_again(tmp_path: Path, stubbed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    config = MemoryConfig(out=str(tmp_path), quick=True)
    first = study.run_benchmark(config)
    stubbed.clear()
    monkeypatch.setattr(study, "predict", None)
    monkeypatch.setattr(study, "measure_seconds", None)
    assert study.run_benchmark(config) == first
    assert stubbed == ["checkpoint", "checkpoint"]  # what failed is tried again


def test_results_of_other_conditions_are_not_mixed_in(tmp_path: Path, stubbed: list[str]) -> None:
    assert main(["benchmark", "memory", "--quick", "--out", str(tmp_path)]) == 0
    before = (tmp_path / "memory.json").read_text()
    assert main(["benchmark", "memory", "--quick", "--threads", "2", "--out", str(tmp_path)]) == 2
    assert (tmp_path / "memory.json").read_text() == before


def test_what_does_not_fit_is_not_measured(tmp_path: Path, stubbed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "free_bytes", lambda device: 10_000)
    results = study.run_benchmark(MemoryConfig(out=str(tmp_path), quick=True))
    assert set(stubbed) == {"fused", "checkpoint"}  # 2380 and 4140 of 10000 bytes; the others take 8540 and more
    eager = next(row for row in results["rows"] if row["variant"] == "eager")
    assert "more than 60% of the" in eager["note"]
    assert "seconds" not in eager


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--spaces", "dart"], "--space: expected one of"),
        (["--spaces", "darts", "--cells", "8,x"], "--cells: expected whole numbers"),
        (["--cells", "8"], "--cells: expected --spaces beside it"),
        (["--variants", "fast"], "--variants: expected some of"),
        (["--budgets", "8,-1"], "--budgets: expected numbers above 0"),
        (["--spaces", "nasbench201", "--cells", "15", "--image-size", "224"], "--image-size: expected less than 128"),
    ],
)
def test_wrong_options_are_told_in_one_line(
    tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", "memory", "--out", str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_real_measurement() -> None:
    found = measure_memory(TINY, "fused", "cpu", 1)
    assert found["saved"] == predict(TINY, "fused").saved.at(TINY.batch)
    assert found["peak"]["alpha"] > found["saved"]
    times = measure_seconds(TINY, ["fused, kept", "fused"], "cpu", 1, 1)["seconds"]
    assert min(times[variant] for variant in ("fused, kept", "fused")) > 0


def test_a_process_that_fails_is_told() -> None:
    with pytest.raises(RunError, match=r"s2 2 x 4, 16 px, batch 8: other: the measuring process failed \(ValueError"):
        measure_memory(TINY, "other", "cpu", 1)

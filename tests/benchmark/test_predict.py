"""The prediction is what real tensors take: counted by the same mode on real steps, and saved bytes by hooks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from amended_darts.benchmark.cases import Case
from amended_darts.benchmark.live import Bytes, LiveBytes, bytes_of, upper
from amended_darts.benchmark.names import VARIANTS
from amended_darts.benchmark.predict import Prediction, predict
from amended_darts.benchmark.steps import Steps
from amended_darts.errors import InputError
from amended_darts.memory import saved_bytes

from ..threads import one_thread  # noqa: F401

SPACE = {
    "name": "tiny",
    "nodes": 2,
    "candidates": {
        "normal": ["skip_connect", "max_pool_3x3", "sep_conv_3x3"],
        "reduction": ["none", "skip_connect", "avg_pool_3x3", "dil_conv_5x5"],
    },
    "edges": [{"node": 2, "input": 0}, {"node": 2, "input": 1}, {"node": 3, "input": 1}, {"node": 3, "input": 2}],
    "cells": 3,
    "channels": 4,
    "reductions": [[1, 3]],
}
PREDICTED = [variant for variant in VARIANTS if variant != "compile"]
SIZES = [*((variant, 6, 8) for variant in PREDICTED), ("fused, kept", 2, 128)]


@pytest.fixture
def tiny(tmp_path: Path) -> Case:
    """A network of a few edges."""
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(SPACE))
    return Case(str(path), 3, 4, 6, 8)


@pytest.mark.parametrize(("variant", "batch", "size"), SIZES)
def test_real_steps_take_what_was_predicted(tiny: Case, variant: str, batch: int, size: int) -> None:
    case = replace(tiny, batch=batch, size=size)
    steps = Steps(case, variant)
    steps.settle()
    prediction = predict(case, variant)
    assert prediction.saved.at(case.batch) == saved_bytes(steps.network, *steps.arguments())
    for step in ("weight", "alpha"):
        with LiveBytes(prediction.kernels.during) as live:
            live.count(steps.tensors())
            steps.run(step)
        real = max(sum(each) for each in live.highest) + prediction.kernels.held(case.batch)
        assert prediction.peak(step, case.batch) == pytest.approx(real, rel=0.01)


def test_residual_blocks_between_stages_are_predicted() -> None:
    case = Case("nasbench201", 3, 4, 5, 8)
    steps = Steps(case, "fused")
    assert predict(case, "fused").saved.at(case.batch) == saved_bytes(steps.network, *steps.arguments())


def test_gpu_kernels_take_their_workspace_for_the_length_of_a_call(tiny: Case) -> None:
    case = tiny
    cpu, cuda = predict(case, "fused"), predict(case, "fused", "cuda")
    assert cpu.saved == cuda.saved
    assert cuda.kernels.held(case.batch) == 0
    assert cuda.peak("weight", 64) > cpu.saved.at(64)
    assert predict(case, "eager", "cuda").peaks == predict(case, "eager").peaks


def test_largest_batch_is_the_last_that_fits() -> None:
    prediction = Prediction(Bytes(0, 0), {"weight": [Bytes(100, 7)], "alpha": [Bytes(0, 9), Bytes(150, 5)]})
    for budget in (99, 107, 158, 1000, 10**9):
        largest = prediction.largest_batch(budget)
        assert largest == 0 or max(prediction.peak(step, largest) for step in prediction.peaks) <= budget
        assert max(prediction.peak(step, largest + 1) for step in prediction.peaks) > budget


def test_only_what_can_be_the_largest_is_kept() -> None:
    assert upper([Bytes(0, 9), Bytes(5, 9), Bytes(150, 5), Bytes(149, 5), Bytes(4, 6)]) == [Bytes(5, 9), Bytes(150, 5)]


def test_bytes_that_the_batch_divides_are_per_image() -> None:
    assert bytes_of(10_007 * 12) == Bytes(0, 12)
    assert bytes_of(10_008) == Bytes(10_008, 0)


def test_cases_that_do_not_exist_are_refused(tiny: Case) -> None:
    case = Case("nasbench201", 3, 4, 5, 8)
    with pytest.raises(InputError, match="nasbench201"):
        predict(replace(case, size=224), "fused")
    with pytest.raises(InputError, match="--cells"):
        predict(replace(case, cells=1), "eager")
    with pytest.raises(ValueError, match="variant must be one of"):
        Steps(tiny, "other")
    assert torch.is_grad_enabled()

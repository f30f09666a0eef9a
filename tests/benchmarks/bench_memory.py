"""Memory of small super-networks: ``pytest tests/benchmarks/bench_memory.py``.

Times a weight step of each variant; ``extra_info`` has the bytes saved for backward and the peaks that are predicted
for both steps. Whole tables are made by ``amended-darts benchmark memory``.
"""

from __future__ import annotations

from typing import Any

import pytest
from amended_darts.benchmark.cases import QUICK, Case
from amended_darts.benchmark.names import STEPS, VARIANTS
from amended_darts.benchmark.predict import predict
from amended_darts.benchmark.steps import Steps


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "compile"])
@pytest.mark.parametrize("case", QUICK, ids=str)
def test_memory(benchmark: Any, case: Case, variant: str) -> None:
    prediction = predict(case, variant)
    benchmark.group = str(case)
    benchmark.extra_info["saved bytes"] = prediction.saved.at(case.batch)
    for step in STEPS:
        benchmark.extra_info[f"peak bytes, {step} step"] = prediction.peak(step, case.batch)
    benchmark(Steps(case, variant).run, "weight")

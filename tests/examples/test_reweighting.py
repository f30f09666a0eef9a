"""The example does what it says: wrong labels lose their weight and held-out digits are predicted better."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "reweighting.py"


@pytest.mark.parametrize("estimator", ["neumann", "amended"])
def test_wrong_labels_lose_their_weight(estimator: str) -> None:
    pytest.importorskip("sklearn")
    outcome = runpy.run_path(str(EXAMPLE))["main"](estimator, steps=120)
    assert outcome.clean_weight > outcome.noisy_weight + 0.3
    assert outcome.accuracy > outcome.plain_accuracy + 0.02

"""The terms of the amended gradient, measured during a search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from amended_darts import SearchConfig, search
from amended_darts.architecture import Architecture
from amended_darts.spaces import SPACES
from amended_darts.study.terms import Terms, _agreement, push

TINY = SearchConfig(space="nasbench201", cells=3, channels=2, epochs=1, batch_size=32, fraction=0.3, compare=False)


def test_the_search_goes_on_as_if_nothing_had_been_measured(tmp_path: Path) -> None:
    plain = search(replace(TINY, out=str(tmp_path / "plain")))
    measured = search(replace(TINY, out=str(tmp_path / "measured")), callbacks=[Terms(every=1, sizes=(16, 32, 4096))])
    assert all(torch.equal(a, b) for a, b in zip(plain.alpha, measured.alpha, strict=True))
    small, large = measured.history[-1]["terms"]  # there are no four batches of 4096
    assert (small["images"], large["images"]) == (16, 32)
    for found in (small, large):
        assert found["ratio"] > 0
        assert all(-1 <= found[name] <= 1 for name in ("cosine", "first_agreement", "second_agreement"))
        assert set(found["first_push"]) == set(SPACES["nasbench201"].normal[0])
        # Softmax: a term changes no α on average.
        assert sum(found["first_push"].values()) == pytest.approx(0, abs=1e-3)


def test_agreement_is_the_mean_cosine_of_two_rows() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    assert _agreement(rows) == pytest.approx((0 + 2 * 0.5**0.5) / 3, abs=1e-6)


def test_push_is_positive_for_the_operator_that_grows() -> None:
    architecture = Architecture(SPACES["robust-s1"])  # edges offer different operators
    groups = SPACES["robust-s1"].groups(architecture.cells)
    gradients = [torch.zeros_like(alpha) for alpha in architecture.alphas]
    for gradient, group in zip(gradients, groups, strict=True):
        for row, names in enumerate(group.candidates):
            if "skip_connect" in names:
                gradient[row, names.index("skip_connect")] = -2.0
    found = push(architecture, torch.cat([gradient.flatten().double() for gradient in gradients]))
    assert found.pop("skip_connect") > 1
    assert set(found.values()) == {0.0}

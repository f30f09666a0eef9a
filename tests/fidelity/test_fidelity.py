"""The study's truths are true, its files are whole, and its figures are what the formulas say."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from amended_darts import cli
from amended_darts.errors import InputError
from amended_darts.fidelity import FidelityConfig, run_study
from amended_darts.fidelity.measure import PASSES, agreement, through_training
from amended_darts.fidelity.network import Rounded, network_problem
from amended_darts.fidelity.problems import dense, flat, random_quadratic, ridge
from amended_darts.hypergradient import exact, neumann


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("fidelity")
    assert cli.main(["fidelity", "--quick", "--out", str(out)]) == 0
    return out, json.loads((out / "fidelity.json").read_text())


def test_the_files_are_there(study: tuple[Path, dict[str, Any]]) -> None:
    out, results = study
    assert sorted(path.name for path in out.iterdir()) == ["fidelity.json", "fidelity.png", "fidelity.txt"]
    assert (out / "fidelity.png").read_bytes().startswith(b"\x89PNG")
    text = (out / "fidelity.txt").read_text()
    assert "<amended, exact> = -3.800" in text
    assert all(name in text for name in PASSES)
    assert {row["estimator"] for row in results["agreement"]} == set(PASSES)


def test_the_counterexample_is_negative(study: tuple[Path, dict[str, Any]]) -> None:
    assert study[1]["counterexample"]["inner_product"] == pytest.approx(-3.8, abs=1e-6)


def test_where_the_answer_is_known_the_study_says_so(study: tuple[Path, dict[str, Any]]) -> None:
    """H = I: every estimator is exact. Ridge: many conjugate-gradient iterations agree with re-training."""
    rows = study[1]["agreement"]
    identity = [row for row in rows if row["problem"].endswith("condition 1")]
    assert identity
    assert all(row["cosine"] == pytest.approx(1, abs=1e-6) for row in identity)
    assert all(row["ratio"] == pytest.approx(1, abs=1e-6) for row in identity)
    solved = [row for row in rows if row["truth"] == "re-trained" and row["estimator"] == "cg(20)"]
    assert solved
    assert all(row["cosine"] > 1 - 1e-6 and row["ratio"] == pytest.approx(1, abs=1e-4) for row in solved)


def test_in_float32_a_radius_of_a_hundredth_serves_a_smooth_network(study: tuple[Path, dict[str, Any]]) -> None:
    """And rounding to bfloat16 does not."""
    rows = [row for row in study[1]["differences"] if row["radius"] == 0.01 and "softplus" in row["problem"]]
    errors = {row["precision"]: row["error"] for row in rows}
    assert errors["float64"] < 0.01
    assert errors["float32"] < 0.01
    assert errors["bfloat16"] > 0.05


def test_the_dense_truth_is_the_library_s_exact_estimator() -> None:
    problem = random_quadratic(100.0, True, torch.Generator().manual_seed(3))
    point = dense(problem)
    assert agreement(point.g1 + point.second(0.1), flat(exact(*problem.arguments(), damping=0.1))).cosine > 1 - 1e-12


def test_ridge_s_weights_are_the_solution() -> None:
    problem, loss_at = ridge(torch.Generator().manual_seed(1))
    (slope,) = torch.autograd.grad(problem.train_loss(), problem.weights)
    assert slope.norm() < 1e-12
    assert problem.val_loss().item() == pytest.approx(loss_at(problem.alphas[0]).item())


def test_back_propagation_through_training_is_a_neumann_series_on_a_quadratic() -> None:
    """With H, A and v the same everywhere, T steps are T terms; and the weights come back."""
    problem = random_quadratic(10.0, False, torch.Generator().manual_seed(2))
    before = problem.weights[0].detach().clone()
    got = through_training(problem, 7, 0.4)
    assert torch.equal(before, problem.weights[0])
    want = flat(neumann(*problem.arguments(), terms=6, lr=0.4, hvp="exact"))
    assert (got - want).norm() / want.norm() < 1e-12


def test_rounding_keeps_the_mantissa_s_bits() -> None:
    x = torch.randn(1000)
    assert torch.equal(Rounded.apply(x, 7), x.bfloat16().float())
    assert torch.equal(Rounded.apply(x, 23), x)


def test_both_activations_start_alike() -> None:
    smooth, kinked = (network_problem(0, smooth) for smooth in (True, False))
    assert sum(w.numel() for w in smooth.weights) == sum(w.numel() for w in kinked.weights)
    assert all(torch.isfinite(problem.train_loss()) for problem in (smooth, kinked))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"network_seeds": 0}, "--network-seeds: expected at least 1, got 0"),
        ({"radius": 0.0}, r"--radius: expected more than 0, got 0\.0"),
        ({"damping": math.nan}, "--damping: expected at least 0, got nan"),
    ],
)
def test_settings_out_of_range_are_named(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        run_study(FidelityConfig(**change))

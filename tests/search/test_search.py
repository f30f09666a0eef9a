"""A whole search: what it writes, what it learns, and that the estimator chosen by name is the one that moves α."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from amended_darts import estimators
from amended_darts.architecture import Architecture
from amended_darts.config import SearchConfig
from amended_darts.errors import InputError
from amended_darts.genotype import Genotype
from amended_darts.presets import PRESETS
from amended_darts.search_loop import search
from amended_darts.search_steps import alpha_step, weight_step
from amended_darts.spaces import find_space
from amended_darts.supernet import SuperNet

COLUMNS = {
    "epoch",
    "steps",
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "alpha_loss",
    "alpha_accuracy",
    "second_ratio",
    "second_unscaled_ratio",
    "second_cosine",
    "heldout_loss",
    "heldout_accuracy",
    "alpha_entropy",
    "operators",
    "skip_share",
    "skips",
    "seconds",
    "peak_memory_bytes",
}


def test_what_a_search_writes(tiny):
    told = []
    result = search(tiny(), on_epoch=told.append)
    out = Path(result.config.out)
    assert {path.name for path in out.iterdir()} == {
        "config.json", "metrics.jsonl", "genotype.json", "checkpoint.pt", "cells.svg", "consistency.txt", "alphas.png"
    }  # fmt: skip
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines == told == result.history
    assert [line["epoch"] for line in lines] == [1, 2]
    assert [line["steps"] for line in lines] == [11, 22]
    for line in lines:
        assert set(line) == COLUMNS
        assert sum(line["operators"].values()) == 8
        assert 0 < line["second_ratio"] < math.inf
        assert -1 <= line["second_cosine"] <= 1
        assert 0 < line["alpha_entropy"] <= math.log(2)
        assert line["peak_memory_bytes"] > 2**20
    assert lines[1]["train_loss"] < lines[0]["train_loss"]
    assert lines[0]["learning_rate"] == 0.025
    assert lines[1]["learning_rate"] == pytest.approx(0.001 + 0.024 * (1 + math.cos(math.pi / 2)) / 2)
    assert Genotype.load(out / "genotype.json") == result.genotype
    config = json.loads((out / "config.json").read_text())
    assert (config["cells"], config["rho"], config["eta"]) == (1, 2.0, None)
    assert [tuple(group.shape) for group in result.weights] == [(14, 2)]
    assert (out / "alphas.png").read_bytes().startswith(b"\x89PNG")


def test_progress_bar_on_terminals_alone(tiny, monkeypatch):
    """It counts the steps of the whole run, those before a resume included."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    seen = []
    for resume in (False, True):
        screen = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr("sys.stderr", screen)
            search(tiny(resume=resume, estimator="first_order"))
        seen.append(screen.getvalue())
    assert "epoch 2/2" in seen[0]
    assert "loss=" in seen[0]
    assert "22/22" in seen[0]
    assert "22/22" in seen[1]


def test_alpha_waits_for_its_start(tiny):
    result = search(tiny(alpha_start_epoch=1, estimator="first_order"))
    first, second = result.history
    assert first["alpha_loss"] is None
    assert first["alpha_entropy"] == pytest.approx(math.log(2), abs=1e-5)
    assert second["alpha_loss"] > 0
    assert second["second_ratio"] == 0  # first order has no second term
    assert second["alpha_entropy"] < first["alpha_entropy"]


def test_same_seed_same_run_and_both_implementations_agree(tiny, tmp_path):
    runs = [
        search(tiny(epochs=1, estimator="first_order", out=str(tmp_path / name), **settings))
        for name, settings in [("a", {}), ("b", {}), ("c", {"implementation": "reference"}), ("d", {"seed": 1})]
    ]
    weights = [torch.cat(run.weights) for run in runs]
    assert torch.equal(weights[0], weights[1])
    torch.testing.assert_close(weights[0], weights[2], rtol=0, atol=1e-2)
    assert runs[0].history[0]["train_loss"] == pytest.approx(runs[2].history[0]["train_loss"], rel=1e-3)
    assert not torch.equal(weights[0], weights[3])


@pytest.fixture
def parts():
    torch.manual_seed(0)
    space = find_space("s2")
    network = SuperNet(space, 3, 1, cells=1, channels=2, implementation="reference")
    batches = [(torch.randn(6, 1, 8, 8), torch.arange(6) % 3) for _ in range(2)]
    return network, Architecture(space, 1), batches


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("estimator", estimators.ESTIMATORS)
def test_alpha_step_moves_alpha_alone(parts, estimator):
    """w, running statistics and .grad fields are left bit for bit; α takes one Adam step along the estimate."""
    network, architecture, (train, val) = parts
    weight_optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=3e-4)
    weight_step(network, architecture, weight_optimizer, train, clip=5.0)  # there are momentum buffers now
    settings = estimators.call_settings(SearchConfig(estimator=estimator).resolved(), weight_optimizer)
    before, alphas = state(network), [alpha.detach().clone() for alpha in architecture.parameters()]
    optimizer = torch.optim.SGD(architecture.parameters(), lr=1.0)
    measured = alpha_step(network, architecture, optimizer, train, val, estimator, settings)
    for name, value in state(network).items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(alpha.grad is None for alpha in architecture.parameters())
    moved = [old - new.detach() for old, new in zip(alphas, architecture.parameters(), strict=True)]
    assert float(measured["gradient_norm"]) == pytest.approx(float(torch.cat(moved).norm()), rel=1e-4)
    with torch.no_grad():
        for alpha, old in zip(architecture.parameters(), alphas, strict=True):
            alpha.copy_(old)
    loss = F.cross_entropy(network(val[0], architecture.weights()), val[1])
    if estimator != "unrolled":  # which asks at the weights after a step
        assert torch.equal(measured["alpha_loss"], loss.detach())
    if estimator == "first_order":
        first = torch.autograd.grad(loss, list(architecture.parameters()))
        torch.testing.assert_close(moved, list(first), rtol=1e-4, atol=1e-6)


def test_weight_step_moves_w_alone(parts):
    network, architecture, (train, _) = parts
    alphas = [alpha.detach().clone() for alpha in architecture.parameters()]
    before = state(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    measured = weight_step(network, architecture, optimizer, train, clip=1e-3)
    assert all(torch.equal(old, new) for old, new in zip(alphas, architecture.parameters(), strict=True))
    assert measured["gradient_norm"] > 1e-3
    names = [name for name, _ in network.named_parameters()]
    moved = torch.cat([(state(network)[name] - before[name]).flatten() for name in names])
    assert float(moved.norm()) == pytest.approx(0.1 * 1e-3, rel=1e-2)  # clipped


WRONG = {
    "--epochs: expected at least 1 epoch, got 0": {"epochs": 0},
    "--epochs: expected int, got '3'": {"epochs": "3"},
    "--epochs: expected int, got True": {"epochs": True},
    "--lr: expected a positive learning rate, got nan": {"lr": float("nan")},
    "--batch-size: expected at least 2 images": {"batch_size": 1},
    "--train-portion: expected a share strictly between 0 and 1, got 1.0": {"train_portion": 1.0},
    "--estimator: expected one of amended, first_order, unrolled, neumann": {"estimator": "ammended"},
    "--implementation: expected one of fused, reference, got 'eager'": {"implementation": "eager"},
    "--eta, --rho: expected one of the two, got both (0.1 and 1.0)": {"eta": 0.1, "rho": 1.0},
    "--rho: expected --estimator amended or unrolled or neumann or conjugate_gradient or two_moment, got first_order, "
    "which has no second term": {"rho": 1.0, "estimator": "first_order"},
    "--eta: expected --estimator amended, got unrolled, which takes --rho, --cap, --radius, --hvp": {
        "eta": 1.0,
        "estimator": "unrolled",
    },
    "--iterations: expected at least 1 iteration, got 0": {"iterations": 0, "estimator": "conjugate_gradient"},
    "--hvp: exact products need second derivatives, expected --implementation reference, got fused": {"hvp": "exact"},
    "--resume, --overwrite: expected one of the two": {"resume": True, "overwrite": True},
    "--space: expected one of darts": {"space": "darts9"},
    "--device: expected auto, cpu, cuda or cuda:N, got 'tpu9'": {"device": "tpu9"},
    "--device: expected one of the GPUs that PyTorch sees": {"device": "cuda:99"},
    "--cells: expected at least 3 for the space darts": {"space": "darts", "cells": 2},
    "--data: expected one of digits": {"data": "mnist"},
}


@pytest.mark.parametrize("told", WRONG)
def test_wrong_settings_are_refused_before_anything_is_written(tmp_path, told):
    config = SearchConfig(**{"out": str(tmp_path / "run"), **WRONG[told]})
    with pytest.raises(InputError) as caught:
        search(config)
    assert str(caught.value).startswith(told)
    assert not (tmp_path / "run").exists()


def test_estimators_get_what_belongs_to_them():
    def settings(**given):
        return SearchConfig(**given).resolved().estimator_settings()

    assert settings() == {"rho": 2.0, "radius": 0.01, "hvp": "finite"}
    assert settings(eta=0.1, cap=2.0) == {"eta": 0.1, "cap": 2.0, "radius": 0.01, "hvp": "finite"}
    assert settings(estimator="first_order") == {}
    assert settings(estimator="neumann", radius=0.1) == {"terms": 2, "damping": 0.0, "radius": 0.1, "hvp": "finite"}
    resolved = SearchConfig(estimator="conjugate_gradient").resolved()
    assert resolved.resolved() == resolved


def test_what_estimators_follow_of_the_optimizer(parts):
    network, architecture, (train, _) = parts
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=3e-4)
    weight_step(network, architecture, optimizer, train, clip=5.0)

    def settings(**given):
        return estimators.call_settings(SearchConfig(**given).resolved(), optimizer)

    assert (settings(estimator="neumann")["lr"], settings(estimator="neumann", inverse_lr=0.5)["lr"]) == (0.1, 0.5)
    assert settings(estimator="two_moment")["weight_decay"] == 3e-4
    unrolled = settings(estimator="unrolled")
    assert (unrolled["lr"], unrolled["momentum"], unrolled["weight_decay"]) == (0.1, 0.9, 3e-4)
    assert len(unrolled["momentum_buffers"]) == len(list(network.parameters()))


def test_the_unrolled_step_is_the_step_that_w_takes(parts):
    """Its first term is ∂α L_val at the weights that SGD goes to from here, momentum and weight decay included."""
    network, architecture, (train, val) = parts
    alphas = list(architecture.parameters())
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(2):
        weight_step(network, architecture, optimizer, train, clip=1e9)
    config = SearchConfig(estimator="unrolled").resolved()
    report = {}
    estimators.find_estimator("unrolled")(
        lambda: F.cross_entropy(network(train[0], architecture.weights()), train[1]),
        lambda: F.cross_entropy(network(val[0], architecture.weights()), val[1]),
        list(network.parameters()),
        alphas,
        report=report,
        **estimators.call_settings(config, optimizer),
    )
    weight_step(network, architecture, optimizer, train, clip=1e9)
    first = torch.autograd.grad(F.cross_entropy(network(val[0], architecture.weights()), val[1]), alphas)
    assert float(report["first_norm"]) == pytest.approx(float(torch.cat([g.flatten() for g in first]).norm()), rel=1e-4)


SETTINGS = {
    "neumann": {"terms": 1, "inverse_lr": 0.01},
    "conjugate_gradient": {"iterations": 1, "damping": 1.0},
    "amended": {"eta": 0.01, "hvp": "exact", "implementation": "reference"},
}


@pytest.mark.parametrize("estimator", estimators.ESTIMATORS)
def test_every_estimator_searches(tiny, estimator):
    result = search(tiny(epochs=1, estimator=estimator, **SETTINGS.get(estimator, {})))
    assert result.config.estimator == estimator
    (line,) = result.history
    assert (line["second_ratio"] > 0) == (estimator != "first_order")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_resolve(name):
    config = SearchConfig.from_preset(name).resolved()
    assert config == config.resolved()
    assert find_space(config.space)


def test_presets_give_way_to_what_is_said():
    quick = SearchConfig.from_preset("quick", epochs=7)
    assert (quick.epochs, quick.cells, quick.alpha_lr) == (7, 3, 0.01)
    assert SearchConfig.from_preset("paper-s1", estimator="first_order").resolved().eta is None
    scaled = SearchConfig.from_preset("paper-s1", rho=2.0).resolved()
    assert (scaled.rho, scaled.eta) == (2.0, None)
    with pytest.raises(InputError, match=r"--preset: expected one of paper-s1, .*, got 'paper'"):
        SearchConfig.from_preset("paper")

"""--cuda-graph: replays of captured steps give bit for bit what the steps themselves give.

Without a GPU, steps are recorded and replayed by tests/recorded_graph.py, which refuses what a capture refuses;
tests/gpu/test_graphs.py has the captures themselves.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from amended_darts import InputError, Space, capturable, graphs, search_loop, search_state, search_steps, uniform
from amended_darts.architecture import Architecture
from amended_darts.callbacks import Callback
from amended_darts.candidates import register_candidate, register_space
from amended_darts.config import SearchConfig
from amended_darts.estimators import ESTIMATORS
from amended_darts.graphs import StepGraphs
from amended_darts.hypergradient import _problem
from amended_darts.precision import Precision
from amended_darts.ranks import Ranks
from amended_darts.search_loop import search
from amended_darts.spaces import find_space
from amended_darts.supernet import SuperNet
from torch import nn

from ..capturing import capture_on_cpu, sgd_on_meta
from ..recorded_graph import CaptureError
from .soak import results, same


@pytest.fixture
def cpu_captures(monkeypatch: pytest.MonkeyPatch) -> list[StepGraphs]:
    """The ``StepGraphs`` of searches on the CPU."""
    capture_on_cpu(monkeypatch)
    monkeypatch.setattr(search_loop, "_draw", lambda *_: None)
    made: list[StepGraphs] = []

    def make(*arguments: Any) -> StepGraphs:
        made.append(StepGraphs(*arguments, warm_up=1))
        return made[-1]

    monkeypatch.setattr(search_state, "StepGraphs", make)
    return made


@pytest.fixture
def short(tiny: Any) -> Any:
    """A search of two epochs of five steps."""

    def make(**settings: Any) -> SearchConfig:
        return tiny(**{"fraction": 0.25, "heldout_fraction": 0.1, "batch_size": 32, **settings})

    return make


@pytest.fixture
def uncaptured(monkeypatch: pytest.MonkeyPatch, short: Any, tmp_path: Path) -> Any:
    """The results of a search with --cuda-graph whose steps run as they are to the end."""

    def run(callbacks: Sequence[Callback] = (), **settings: Any) -> dict[str, Any]:
        with monkeypatch.context() as patched:
            patched.setattr(search_state, "StepGraphs", functools.partial(StepGraphs, warm_up=10**9))
            search(short(cuda_graph=True, **{**settings, "out": str(tmp_path / "uncaptured")}), callbacks=callbacks)
        return results(tmp_path / "uncaptured")

    return run


@pytest.mark.parametrize("estimator", ["amended", "unrolled"])
def test_replays_give_the_bits_of_the_steps(short, cpu_captures, uncaptured, estimator):
    """Over two epochs, of which the second has another learning rate: on the device for w; unrolled takes it as a
    number, so its α step is captured once an epoch."""
    search(short(cuda_graph=True, estimator=estimator))
    assert cpu_captures[0].captures == (3 if estimator == "unrolled" else 2)
    assert same(results(Path(short().out)), uncaptured(estimator=estimator))


VARIANTS: dict[str, dict[str, Any]] = {
    "bf16, in parts": {"amp": "bf16", "accumulate": 2},
    "with affine BN and an auxiliary head": {"affine": True, "auxiliary": 0.4, "cells": 3, "epochs": 1},
    "without the α step at first": {"alpha_start_epoch": 1},
}


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_settings_that_go_with_graphs(short, cpu_captures, uncaptured, settings):
    search(short(cuda_graph=True, **settings))
    assert cpu_captures[0].captures >= 2
    assert same(results(Path(short().out)), uncaptured(**settings))


def test_pruned_edges_are_captured_anew(short, cpu_captures, uncaptured):
    settings = {"edges": "pruned", "prune_epoch": 1, "affine": True}
    search(short(cuda_graph=True, **settings))
    assert cpu_captures[0].captures == 4
    assert same(results(Path(short().out)), uncaptured(**settings))


class StopsAt(Callback):
    """Ends a search in the middle of an epoch, after the checkpoint of that step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, state, measured):
        if state.total_step == self.step:
            state.save()
            raise KeyboardInterrupt


def test_resumes_to_the_same_bits(short, cpu_captures, uncaptured):
    """From a step that was replayed; the steps after it run as they are before they are captured again."""
    with pytest.raises(KeyboardInterrupt):
        search(short(cuda_graph=True), callbacks=[StopsAt(4)])
    search(short(cuda_graph=True, resume=True))
    assert [each.captures for each in cpu_captures] == [2, 2]
    assert same(results(Path(short().out)), uncaptured())


@pytest.mark.parametrize("first", [True, False])
def test_a_checkpoint_serves_with_and_without(short, cpu_captures, tmp_path, first):
    """What is left of the difference is rounding: SGD and Adam are computed by other operators."""
    with pytest.raises(KeyboardInterrupt):
        search(short(cuda_graph=first, estimator="first_order"), callbacks=[StopsAt(4)])
    mixed = search(short(cuda_graph=not first, estimator="first_order", resume=True))
    plain = search(short(estimator="first_order", out=str(tmp_path / "plain")))
    torch.testing.assert_close(mixed.alpha, plain.alpha, rtol=0, atol=1e-4)


class ChangesBetas(Callback):
    """Makes Adam remember less, in the middle of an epoch."""

    def on_step(self, state, measured):
        if state.total_step == 4:
            state.alpha_optimizer.param_groups[0]["betas"] = (0.1, 0.9)


def test_a_callback_may_change_an_optimiser(short, cpu_captures, uncaptured):
    search(short(cuda_graph=True), callbacks=[ChangesBetas()])
    assert cpu_captures[0].captures == 3
    assert same(results(Path(short().out)), uncaptured(callbacks=[ChangesBetas()]))


def test_what_a_step_measured_stays(short, cpu_captures):
    """A callback may keep it: the next replay writes elsewhere."""
    kept: list[dict[str, torch.Tensor]] = []
    search(short(cuda_graph=True), on_step=kept.append)
    assert len({float(measured["train_loss"]) for measured in kept}) == len(kept)


def test_the_last_batch_may_be_smaller(cpu_captures):
    """It runs as it is, and the graph goes on after it."""
    total, steps = torch.zeros(()), []

    def step(batch):
        steps.append(len(batch[1]))
        return {"total": total.add_(batch[0].sum())}

    run = StepGraphs(lambda: [total], torch.device("cpu"), warm_up=1)
    for count in (4, 4, 4, 3, 4):
        measured = run("w", step, [(torch.ones(count, 2), torch.zeros(count, dtype=torch.long))])
    assert measured["total"] == total == 2 * 19
    assert steps == [4, 4, 3]  # as it is, recorded, as it is; the others were replays


REFUSED: dict[str, dict[str, Any]] = {
    r"--cuda-graph: expected --amp off or bf16, got fp16": {"amp": "fp16"},
    r"--cuda-graph, --compile: expected one of the two, got both": {"compile": True},
    r"--cuda-graph: expected --drop-path 0, .*, got 0.2": {"drop_path": 0.2},
    r"--cuda-graph: expected a space without the candidate noise, got robust-s4": {"space": "robust-s4", "cells": 3},
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_does_not_go_with_graphs(short, cpu_captures, sentence):
    with pytest.raises(InputError, match=sentence):
        search(short(cuda_graph=True, **REFUSED[sentence]))


def test_where_graphs_cannot_be(short):
    config = short(cuda_graph=True).resolved()
    with pytest.raises(InputError, match="--cuda-graph: expected --device cuda, got cpu"):
        search(config)
    with pytest.raises(InputError, match="--cuda-graph: expected one process, got 2"):
        graphs.check_graphs(config, find_space("s2"), torch.device("cuda"), Ranks(0, 2))


def test_a_candidate_that_draws_is_refused(short, cpu_captures, registered_for_this_test):
    register_candidate("dropped", lambda channels, stride: nn.Sequential(nn.MaxPool2d(1, stride), nn.Dropout()))
    edges = uniform(1, ("skip_connect", "dropped"))
    register_space(Space("with-dropout", nodes=1, normal=edges, reduction=edges, cells=3, channels=2))
    with pytest.raises(InputError, match="--cuda-graph: expected candidates that draw no random numbers"):
        search(short(cuda_graph=True, space="with-dropout", cells=3))


# The same tests with a mistake planted.


def test_a_value_that_is_read_back_is_found(short, cpu_captures, monkeypatch):
    accuracy = search_steps.accuracy
    monkeypatch.setattr(search_steps, "accuracy", lambda *given: accuracy(*given) * (accuracy(*given).item() >= 0))
    with pytest.raises(CaptureError, match="_local_scalar_dense reads a value back"):
        search(short(cuda_graph=True))


def test_a_number_from_python_that_changes_is_found(short, cpu_captures, uncaptured, monkeypatch):
    """A clip that gets shorter with every step."""
    step = search_loop.weight_step

    def plant():
        count = itertools.count(1)
        monkeypatch.setattr(
            search_loop,
            "weight_step",
            lambda *given, **settings: step(*given[:-1], given[-1] / 100 / next(count), **settings),
        )

    plant()
    search(short(cuda_graph=True))
    assert cpu_captures[0].captures == 2
    plant()
    assert not same(results(Path(short().out)), uncaptured())


def test_a_learning_rate_from_python_is_captured_anew(short, cpu_captures, monkeypatch):
    """It would not be, and need not, where the optimiser reads it on the device."""

    def in_python(optimizer, value):
        for group in optimizer.param_groups:
            group["lr"] = value

    monkeypatch.setattr(search_loop, "set_learning_rate", in_python)
    search(short(cuda_graph=True, estimator="first_order"))
    assert cpu_captures[0].captures == 3


def test_memory_that_moves_is_found(short, cpu_captures, uncaptured, monkeypatch):
    """A step that puts α elsewhere is never replayed: it is seen at every step."""
    step = search_loop.alpha_step

    def moving(network, architecture, *rest, **settings):
        measured = step(network, architecture, *rest, **settings)
        for alpha in architecture.parameters():
            alpha.data = alpha.data.clone()
        return measured

    monkeypatch.setattr(search_loop, "alpha_step", moving)
    search(short(cuda_graph=True))
    assert cpu_captures[0].captures == 0
    assert same(results(Path(short().out)), uncaptured())


# A device that nothing can be read from: the steps take the path that they take on a GPU.


@pytest.fixture
def meta_steps(monkeypatch):
    """Both steps of a network on the meta device, with the code that the CPU alone runs left in."""
    check = _problem._check_finite
    capture_on_cpu(monkeypatch)
    monkeypatch.setattr(_problem, "_check_finite", check)
    device = torch.device("meta")
    with device:
        network = SuperNet(find_space("s2"), 3, 1, cells=3, channels=2)
        images, labels = torch.empty(4, 1, 8, 8), torch.empty(4, dtype=torch.long)
    architecture = Architecture(find_space("s2"), 3).to(device)
    weights = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=3e-4)
    alphas = torch.optim.Adam(architecture.parameters(), 0.1)
    capturable.make_capturable(weights, alphas)

    def steps(estimator: str = "amended") -> None:
        settings = search_loop.call_settings(SearchConfig(estimator=estimator).resolved(), weights, 0.1)
        batch, precision = (images, labels), Precision("off", torch.device("cpu"))
        search_steps.alpha_step(network, architecture, alphas, batch, batch, estimator, settings)
        search_steps.weight_step(network, architecture, weights, batch, 5.0, precision)

    with sgd_on_meta():
        yield steps


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_nothing_is_read_back(meta_steps, estimator):
    meta_steps(estimator)


@pytest.mark.parametrize("read", [lambda value: value.item(), lambda value: value.cpu(), lambda value: value.tolist()])
def test_reading_back_is_found(meta_steps, monkeypatch, read):
    accuracy = search_steps.accuracy

    def reading(*given):
        value = accuracy(*given)
        read(value)
        return value

    monkeypatch.setattr(search_steps, "accuracy", reading)
    with pytest.raises((RuntimeError, NotImplementedError), match="meta tensor"):
        meta_steps()

"""The signs in the metrics of a real search, and searches that end on them."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from amended_darts import SearchConfig, search, search_loop
from amended_darts.checkpoint import load_checkpoint
from amended_darts.data import load_data
from amended_darts.early_warning import callback
from amended_darts.early_warning.callback import measure_eigenvalue, skip_share
from amended_darts.hypergradient import alpha_eigenvalue
from amended_darts.search_state import SearchState


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    monkeypatch.setattr(search_loop, "_draw", lambda *arguments: None)
    torch.set_num_threads(1)


@pytest.fixture
def tiny(tmp_path):
    def make(**settings):
        defaults = {"space": "s2", "cells": 1, "channels": 2, "epochs": 2, "alpha_lr": 0.05, "estimator": "first_order"}
        return SearchConfig(**{**defaults, "out": str(tmp_path / "run"), **settings})

    return make


def test_measuring_changes_nothing_else(tiny, tmp_path):
    """The same weights, α and generators bit for bit, with and without the eigenvalue."""
    plain = search(tiny(out=str(tmp_path / "plain")))
    watched = search(tiny(eigenvalue=True))
    one, other = (load_checkpoint(Path(result.out) / "checkpoint.pt") for result in (plain, watched))
    for part in ("network", "architecture"):
        assert all(torch.equal(one[part][name], other[part][name]) for name in one[part])
    assert torch.equal(one["random"]["torch"], other["random"]["torch"])
    for before, after in zip(plain.history, watched.history, strict=True):
        assert math.isfinite(after["alpha_eigenvalue"])
        assert "alpha_eigenvalue" not in before
        assert before["heldout_loss"] == after["heldout_loss"]


def test_skips_and_their_share(tiny):
    result = search(tiny(epochs=1))
    line, weights = result.history[0], torch.cat(result.weights)
    assert line["skip_share"] == pytest.approx(float(weights[:, 0].mean()))  # s2: skip_connect, sep_conv_3x3
    kept = result.genotype.operator_counts().get("skip_connect", 0)
    assert line["skips"] == {}  # the one cell is a reduction cell
    assert kept == line["operators"].get("skip_connect", 0)
    state = SearchState(tiny(space="robust-s4", cells=3).resolved(), load_data(tiny()))
    assert skip_share(state.architecture) is None


def test_the_eigenvalue_is_that_of_the_validation_loss(tiny, monkeypatch):
    """With batch statistics, on those images: by exact products of the twin, against power iteration written here."""
    monkeypatch.setattr(callback, "alpha_eigenvalue", partial(alpha_eigenvalue, hvp="exact", tolerance=1e-3))
    config = tiny(space="robust-s2", cells=3, implementation="reference", batch_size=16).resolved()
    state = SearchState(config, load_data(config))
    ((images, labels),) = state.alpha_stream.sample(config.batch_size)
    state.network.train()
    alphas = list(state.architecture.parameters())
    loss = F.cross_entropy(state.network(images, state.architecture.weights()), labels)
    slope = torch.cat([part.reshape(-1) for part in torch.autograd.grad(loss, alphas, create_graph=True)])
    vector = torch.randn(len(slope))
    for _ in range(12):
        product = torch.autograd.grad(slope @ (vector / vector.norm()), alphas, retain_graph=True)
        vector, last = torch.cat([part.reshape(-1) for part in product]), vector / vector.norm()
    exact = float(last @ vector)
    before = {name: value.clone() for name, value in state.network.state_dict().items()}
    state.network.eval()
    assert measure_eigenvalue(state) == pytest.approx(exact, rel=0.02)
    assert not state.network.training
    assert all(torch.equal(before[name], value) for name, value in state.network.state_dict().items())


def test_several_batches_count_alike(tiny):
    """128 images in two batches: the gradient is the mean of both."""
    config = tiny(eigenvalue_images=128).resolved()
    state = SearchState(config, load_data(config))
    batches = list(state.alpha_stream.sample(128))
    assert [len(labels) for _, labels in batches] == [64, 64]
    both = measure_eigenvalue(state)
    single = measure_eigenvalue(SearchState(tiny().resolved(), state.data))
    assert both != single
    assert both == pytest.approx(single, rel=1)


def test_a_search_ends_on_the_eigenvalue_and_goes_back(tiny, monkeypatch):
    values = iter([1.0] * 6 + [3.0] * 6)
    monkeypatch.setattr(callback, "measure_eigenvalue", lambda state: next(values))
    result = search(tiny(epochs=20, stop="eigenvalue", alpha_start_epoch=1, stop_from=3))
    # Nine epochs in which α moved are 2 to 10.
    assert (len(result.history), result.epoch) == (10, 6)
    assert result.stopped.startswith("the dominant eigenvalue of the Hessian along α grew ")
    assert [line["alpha_eigenvalue"] for line in result.history] == [1.0] * 6 + [3.0] * 4
    assert all(torch.equal(one, other) for one, other in zip(result.alpha, result.alphas[5], strict=True))


def test_a_search_ends_on_skips_but_not_before_its_time(tiny, monkeypatch):
    monkeypatch.setattr(callback, "skips", lambda architecture, genotype: {"normal": 8})
    result = search(tiny(epochs=9, stop="skips=2", alpha_start_epoch=2, stop_from=3))
    assert (len(result.history), result.epoch) == (5, 5)
    assert result.stopped == "the normal cell keeps 8 skip connections (--stop skips=2)"


def test_a_resumed_search_stops_where_the_whole_one_does(tiny, tmp_path, monkeypatch):
    """The rule reads the epochs before the interruption from the checkpoint."""
    by_epoch = [1.0] * 6 + [3.0] * 6
    monkeypatch.setattr(callback, "measure_eigenvalue", lambda state: by_epoch[state.epoch])
    whole = search(tiny(epochs=12, stop="eigenvalue", out=str(tmp_path / "whole")))

    class Interrupting(callback.Callback):
        def on_epoch(self, state, metrics):
            if state.epoch == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(tiny(epochs=12, stop="eigenvalue"), callbacks=[Interrupting()])
    resumed = search(tiny(epochs=12, stop="eigenvalue", resume=True))
    assert (whole.stopped, whole.epoch, len(whole.history)) == (resumed.stopped, resumed.epoch, len(resumed.history))
    assert whole.stopped is not None

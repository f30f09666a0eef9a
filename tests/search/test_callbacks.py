"""Hooks: when they are called, what they may add, and that one of them can end a search for good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from amended_darts import Callback, InputError, search, search_loop
from amended_darts.checkpoint import load_checkpoint


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    monkeypatch.setattr(search_loop, "_draw", lambda *arguments: None)


class Diary(Callback):
    def __init__(self):
        self.seen = []

    def on_start(self, state):
        self.seen.append(f"start at {state.total_step}")

    def on_step(self, state, measured):
        assert measured["train_loss"].shape == ()
        self.seen.append(f"step {state.total_step}")

    def on_measure(self, state, metrics):
        metrics["mine"] = state.epoch
        self.seen.append("measure")

    def on_epoch(self, state, metrics):
        saved = load_checkpoint(state.checkpoint)
        assert saved["epoch"] == state.epoch == metrics["epoch"]
        assert len(saved["alphas"]) == state.epoch
        self.seen.append(f"epoch {state.epoch}")

    def on_end(self, state, result):
        assert (result.out / "genotype.json").exists()
        self.seen.append(f"end with {result.epoch}")

    def on_close(self, state):
        self.seen.append("close")


STEPS = [f"step {number}" for number in range(1, 23)]


def test_order_of_the_hooks(tiny):
    diary, lines, steps = Diary(), [], []
    result = search(tiny(estimator="first_order"), lines.append, on_step=steps.append, callbacks=[diary])
    assert diary.seen == [
        "start at 0", *STEPS[:11], "measure", "epoch 1", *STEPS[11:], "measure", "epoch 2", "end with 2", "close"
    ]  # fmt: skip
    assert [line["mine"] for line in result.history] == [0, 1]
    assert lines == result.history
    assert len(steps) == 22


class Failing(Diary):
    def on_step(self, state, measured):
        raise ZeroDivisionError


def test_a_hook_that_raises_ends_the_search_and_all_are_closed(tiny):
    diary, failing = Diary(), Failing()
    with pytest.raises(ZeroDivisionError):
        search(tiny(), callbacks=[failing, diary])
    assert diary.seen == ["start at 0", "close"]
    assert failing.seen == ["start at 0", "close"]
    search(tiny(resume=True))


class Stopping(Callback):
    def on_measure(self, state, metrics):
        if metrics["epoch"] == 2:
            state.stop("enough", epoch=1)


def test_a_search_that_is_stopped_stays_stopped(tiny):
    """Its result is of the epoch that was chosen, and a resume does not go on."""
    result = search(tiny(epochs=5, alpha_lr=1.0), callbacks=[Stopping()])
    assert (result.stopped, result.epoch, len(result.history)) == ("enough", 1, 2)
    assert torch.equal(torch.cat(result.alpha), torch.cat(result.alphas[0]))
    assert not torch.equal(torch.cat(result.alphas[0]), torch.cat(result.alphas[1]))
    assert result.genotype == result.genotype_at(1)
    assert json.loads((result.out / "genotype.json").read_text()) == json.loads(result.genotype.to_json())
    again = search(tiny(epochs=5, alpha_lr=1.0, resume=True))
    assert (again.stopped, again.epoch, len(again.history)) == ("enough", 1, 2)
    assert again.genotype == result.genotype
    with pytest.raises(InputError, match="epoch: expected one from 1 to 2, got 3"):
        result.genotype_at(3)


def test_the_best_epoch_is_the_earliest_with_the_highest_heldout_accuracy(tiny):
    class Graded(Callback):
        def on_measure(self, state, metrics):
            metrics["heldout_accuracy"] = [0.5, 0.7, 0.7][state.epoch]

    result = search(tiny(epochs=3, estimator="first_order"), callbacks=[Graded()])
    assert (result.best_epoch, result.epoch) == (2, 3)


def test_only_an_epoch_that_was_can_be_chosen(tiny):
    class Wrong(Callback):
        def on_measure(self, state, metrics):
            state.stop("too early", epoch=2)

    with pytest.raises(InputError, match="epoch: expected one from 1 to 1, got 2"):
        search(tiny(), callbacks=[Wrong()])
    assert not (Path(tiny().out) / "genotype.json").exists()

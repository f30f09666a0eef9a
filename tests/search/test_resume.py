"""A search that is interrupted, killed or refused: what is on disk then resumes to the uninterrupted run's bits."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from amended_darts import Callback, search_loop
from amended_darts.checkpoint import load_checkpoint
from amended_darts.config import SearchConfig
from amended_darts.errors import Interrupted, RunError
from amended_darts.search_loop import search

from .processes import COMMAND, ENVIRONMENT
from .soak import results, same, soak


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    """They take longer than these searches, and test_search.py looks at them."""
    monkeypatch.setattr(search_loop, "_draw", lambda *arguments: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nothing interrupts (its settings: those of the fixture ``tiny``)."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("whole") / "run"
    search(SearchConfig(space="s2", cells=1, channels=2, epochs=2, out=str(out), alpha_lr=0.05, alpha_every=1))
    return results(out)


def interrupt_at(monkeypatch, name, call):
    """Sends this process a Ctrl-C during the given call of a function of the loop."""
    original, calls = getattr(search_loop, name), iter(range(10**6))

    def wrapped(*arguments, **settings):
        if next(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return original(*arguments, **settings)

    monkeypatch.setattr(search_loop, name, wrapped)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("alpha_step", 0),
        ("weight_step", 4),
        ("weight_step", 10),
        ("accuracy", 3),
        ("weight_step", 11),
        ("alpha_step", 21),
    ],
    ids=["first step", "mid-epoch", "last step of an epoch", "evaluation", "second epoch", "last step"],
)
def test_interrupted_at_any_step(tiny, monkeypatch, whole, name, call):
    config = tiny()
    with monkeypatch.context() as patch:
        interrupt_at(patch, name, call)
        with pytest.raises(Interrupted, match=r"interrupted at epoch \d of 2, step \d+ of 11; .*checkpoint.pt holds"):
            search(config)
    search(tiny(resume=True))
    assert same(results(Path(config.out)), whole)


@pytest.mark.parametrize(("name", "call"), [("accuracy", 4), ("weight_step", 5)], ids=["evaluation", "step"])
def test_noise_goes_on_where_it_was(tiny, tmp_path, monkeypatch, name, call):
    """A space whose candidates draw from PyTorch's own generator, interrupted while measuring and while learning."""
    settings = {"space": "robust-s4", "cells": 3, "batch_size": 256}  # 2 steps an epoch, 2 batches to measure on
    whole = search(tiny(**settings, epochs=4, out=str(tmp_path / "whole")))
    with monkeypatch.context() as patch:
        interrupt_at(patch, name, call)
        with pytest.raises(Interrupted):
            search(tiny(**settings, epochs=4))
    search(tiny(**settings, epochs=4, resume=True))
    assert same(results(Path(tiny().out)), results(whole.out))


def test_interrupted_between_steps_and_checkpoint(tiny, whole):
    """While hooks measure: the epoch is finished first, then the checkpoint says so."""

    class Asking(Callback):
        def on_measure(self, state, metrics):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="interrupted at epoch 2 of 2, step 0 of 11"):
        search(tiny(), callbacks=[Asking()])
    search(tiny(resume=True))
    assert same(results(Path(tiny().out)), whole)


def test_interrupted_again_and_again(tiny, monkeypatch, whole):
    for _ in range(3):
        with monkeypatch.context() as patch:
            interrupt_at(patch, "weight_step", 5)
            with pytest.raises(Interrupted):
                search(tiny(resume=True))
    search(tiny(resume=True))
    assert same(results(Path(tiny().out)), whole)


def test_resuming_a_finished_search_changes_nothing(tiny, whole):
    config = tiny()
    search(config)
    search(tiny(resume=True))
    assert same(results(Path(config.out)), whole)


def test_metrics_are_cut_back_to_the_checkpoint(tiny, whole):
    """Lines written after the checkpoint (a kill between the two) go, and lost ones come back."""
    config = tiny()
    metrics = Path(config.out) / "metrics.jsonl"

    def stop(line):
        if line["epoch"] == 1:
            shutil.copy(Path(config.out) / "checkpoint.pt", Path(config.out) / "kept.pt")

    search(config, on_epoch=stop)
    os.replace(Path(config.out) / "kept.pt", Path(config.out) / "checkpoint.pt")
    assert len(metrics.read_text().splitlines()) == 2
    search(tiny(resume=True))
    assert [json.loads(line)["epoch"] for line in metrics.read_text().splitlines()] == [1, 2]
    assert same(results(Path(config.out)), whole)


def command_line(out, *more):
    settings = [
        "--space",
        "s2",
        "--cells",
        "1",
        "--channels",
        "2",
        "--epochs",
        "2",
        "--alpha-lr",
        "0.05",
        "--alpha-every",
        "1",
    ]
    return [*COMMAND, "search", *settings, "--out", str(out), *more]


def start(out, *more):
    return subprocess.Popen(
        command_line(out, *more), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(path, process, timeout=120):
    until = time.monotonic() + timeout
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def test_killed_at_random_moments(tmp_path):
    """kill -9, three times, with a checkpoint at every step, so that one is being written at most moments; ``make
    soak`` does it more often."""
    settings = ("--space", "s2", "--cells", "1", "--channels", "2", "--epochs", "4", "--alpha-lr", "0.05")
    assert len(soak(tmp_path, 3, random.randrange(10**6), settings)) == 3


def test_half_written_files_are_swept_away(tiny, whole):
    """What a kill in the middle of writing leaves."""
    out = Path(tiny().out)
    out.mkdir()
    (out / ".checkpoint.pt.1.tmp").write_bytes(b"half")
    search(tiny(resume=True))
    assert same(results(out), whole)
    assert not [path for path in out.iterdir() if path.name.endswith(".tmp")]


def test_ctrl_c_on_the_command_line(tiny, whole):
    out = Path(tiny().out)
    process = start(out)
    wait_for(out / "checkpoint.pt", process)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130
    assert told.count("\n") == 1
    assert told.startswith("amended-darts: interrupted at epoch ")
    assert load_checkpoint(out / "checkpoint.pt")["epoch"] < 2
    search(tiny(resume=True))
    assert same(results(out), whole)


def test_resume_where_there_is_nothing_starts_at_the_beginning(tiny, whole):
    search(tiny(resume=True))
    assert same(results(Path(tiny().out)), whole)


def test_a_loss_that_is_not_finite_ends_the_run(tiny, monkeypatch):
    """The step is named, and the checkpoint on disk is the last good one: it resumes."""
    original, calls = search_loop.weight_step, iter(range(100))

    def poisoned(network, *arguments, **settings):
        if next(calls) == 14:
            with torch.no_grad():
                network.classifier.bias.fill_(torch.nan)
        return original(network, *arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(search_loop, "weight_step", poisoned)
        with pytest.raises(
            RunError, match=r"the loss of w is nan, at epoch 2 of 2, step 4 of 11; .*checkpoint.pt holds"
        ):
            search(tiny())
    assert load_checkpoint(Path(tiny().out) / "checkpoint.pt")["epoch"] == 1
    search(tiny(resume=True))


def test_a_second_ctrl_c_breaks_off(tiny, monkeypatch, whole):
    """At once, in the middle of a step; what was saved last resumes."""
    original, calls = search_loop.weight_step, iter(range(100))

    def twice(*arguments, **settings):
        if next(calls) == 14:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return original(*arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(search_loop, "weight_step", twice)
        with pytest.raises(KeyboardInterrupt) as caught:
            search(tiny())
    assert not isinstance(caught.value, Interrupted)
    assert load_checkpoint(Path(tiny().out) / "checkpoint.pt")["step"] == 0
    search(tiny(resume=True))
    assert same(results(Path(tiny().out)), whole)


def test_callers_generators_are_left_alone(tiny):
    torch.manual_seed(7)
    before, state = torch.get_rng_state(), random.getstate()
    search(tiny(epochs=1))
    assert torch.equal(torch.get_rng_state(), before)
    assert random.getstate() == state


def test_signal_handlers_are_put_back(tiny):
    before = signal.getsignal(signal.SIGINT)
    search(tiny(epochs=1))
    assert signal.getsignal(signal.SIGINT) is before
    assert sys.exc_info() == (None, None, None)

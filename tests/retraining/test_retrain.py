"""The whole training: what it writes, and that interrupting it at any step changes no bit of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from amended_darts import cli
from amended_darts.checkpoint import load_checkpoint
from amended_darts.errors import InputError, Interrupted, RunError
from amended_darts.retraining import loop
from amended_darts.retraining.loop import retrain
from amended_darts.retraining.state import KIND

from tests.search.processes import ENVIRONMENT
from tests.search.test_resume import same

CLOCKS = ("seconds", "peak_memory_bytes")


def results(folder):
    """All that has to be the same bit for bit: clocks and memory aside."""
    state = load_checkpoint(Path(folder) / "checkpoint.pt", KIND)
    lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    kept = ("epoch", "step", "network", "optimizer", "random", "genotype", "spec")
    return {
        "state": {name: state[name] for name in kept},
        "metrics": [{key: value for key, value in line.items() if key not in CLOCKS} for line in lines],
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nothing interrupts (its settings: those of the fixture ``tiny``)."""
    torch.set_num_threads(1)
    out = str(tmp_path_factory.mktemp("whole") / "run")
    settings = {"genotype": "DARTS_V2", "cells": 3, "channels": 2, "epochs": 2, "batch_size": 256, "drop_path": 0.5}
    retrain(loop.RetrainConfig(**settings, out=out))
    return results(out)


def interrupt_at(monkeypatch, name, call):
    """Sends this process a Ctrl-C during the given call of a function of the loop."""
    original, calls = getattr(loop, name), iter(range(10**6))

    def wrapped(*arguments):
        if next(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    monkeypatch.setattr(loop, name, wrapped)


@pytest.mark.parametrize(("name", "call"), [("train_step", 0), ("train_step", 6), ("evaluate", 0), ("train_step", 9)])
def test_interrupted_at_any_step(tiny, monkeypatch, whole, name, call):
    config = tiny()
    with monkeypatch.context() as patch:
        interrupt_at(patch, name, call)
        with pytest.raises(Interrupted, match=r"interrupted at epoch \d of 2, step \d of 5; .*checkpoint.pt holds"):
            retrain(config)
    retrain(tiny(resume=True))
    assert same(results(config.out), whole)


def test_noise_of_an_interrupted_evaluation(tiny, monkeypatch):
    """A network that draws random numbers in evaluation too: interrupted there, it draws the same ones again."""
    genotype = Path(tiny().out).with_name("noise.txt")
    pairs = "[('noise', 0), ('skip_connect', 1)]"
    genotype.write_text(f"Genotype(normal={pairs}, normal_concat=[2], reduce={pairs}, reduce_concat=[2])")
    settings = {"genotype": str(genotype), "batch_size": 128}
    retrain(tiny(**settings))
    truth = results(tiny().out)
    original, calls = loop.evaluate, iter(range(10))

    def interrupted(network, data, batch_size, device, precision, after_batch):
        def ask():
            if next(calls) == 1:
                signal.raise_signal(signal.SIGINT)
            after_batch()

        return original(network, data, batch_size, device, precision, ask)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "evaluate", interrupted)
        with pytest.raises(Interrupted):
            retrain(tiny(**settings, overwrite=True))
    retrain(tiny(**settings, resume=True))
    assert same(results(tiny().out), truth)


def test_one_process_and_a_bar_where_there_is_a_terminal(tiny, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    retrain(tiny(epochs=1))
    assert "epoch 1/1" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="retrain: expected one process, got 2"):
        retrain(tiny(epochs=1, overwrite=True))


def test_resuming_needs_only_the_folder(tiny, whole, monkeypatch):
    """What the training was started from may be gone, and the folder may have moved."""
    config = tiny()
    with monkeypatch.context() as patch:
        interrupt_at(patch, "train_step", 3)
        with pytest.raises(Interrupted):
            retrain(config)
    Path(config.out).rename(Path(config.out).with_name("moved"))
    moved = str(Path(config.out).with_name("moved"))
    retrain(tiny(resume=True, genotype="/gone/genotype.json", out=moved, checkpoint_every=2))
    assert same(results(moved), whole)


def test_a_network_learns_digits(tmp_path):
    config = loop.RetrainConfig(
        genotype="DARTS_V2", cells=3, channels=4, epochs=6, batch_size=32, lr=0.1, drop_path=0.0, auxiliary=0.0,
        cutout=0, out=str(tmp_path),
    )  # fmt: skip
    result = retrain(config)
    assert result.history[-1]["top1"] > 0.85
    assert result.history[-1]["top5"] > 0.97
    assert not result.network.training


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_amp(tiny, amp):
    """Computes in another format, keeps its weights in float32, and finds nearly the same loss."""
    result = retrain(tiny(amp=amp, epochs=1, batch_size=1024))
    assert {value.dtype for value in result.network.parameters()} == {torch.float32}
    plain = retrain(tiny(epochs=1, batch_size=1024, overwrite=True))
    one, other = (entry.history[0]["train_loss"] for entry in (result, plain))
    assert one != other
    assert abs(one - other) < 0.05


def test_a_loss_that_is_not_finite_ends_the_run(tiny):
    config = tiny(lr=1e20, clip=0.0)
    with pytest.raises(RunError, match=r"is (nan|inf), at epoch \d of 2, step \d of 5; .*checkpoint.pt holds the last"):
        retrain(config)
    state = load_checkpoint(Path(config.out) / "checkpoint.pt", KIND)
    assert all(bool(value.isfinite().all()) for value in state["network"].values())


def test_what_does_not_fit_is_refused(tiny):
    config = tiny(epochs=1)
    retrain(config)
    with pytest.raises(InputError, match=r"--out: .* already holds a checkpoint; pass --resume"):
        retrain(config)
    with pytest.raises(InputError, match=r"this training was started with --epochs 1, got --epochs 3"):
        retrain(tiny(epochs=3, resume=True))
    other = Path(config.out) / "genotype.json"
    other.write_text(loop.find_genotype("P_DARTS").to_json())
    with pytest.raises(InputError, match="this training was started with another genotype"):
        retrain(tiny(epochs=1, resume=True))
    with pytest.raises(InputError, match="expected a checkpoint of amended-darts search"):
        load_checkpoint(Path(config.out) / "checkpoint.pt")


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--genotype", "PC_DARTS_CIFAR", "--cells", "3", "--channels", "2", "--epochs", "1", "--out", "run"]
    assert cli.main(["retrain", *options, "--batch-size", "512"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("cifar network of 3 cells, 2 channels: ")
    assert " parameters, " in told
    assert "epoch 1/1: train loss " in told
    assert "held-out images: top-1 0." in told
    assert cli.main(["retrain", "--config", "run/config.json", "--resume"]) == 0
    capsys.readouterr()
    assert cli.main(["retrain", "--genotype", "absent.json", "--out", "other"]) == 2
    assert capsys.readouterr().err == (
        "amended-darts: genotype: expected a JSON file, cannot read absent.json (No such file or directory)\n"
    )
    assert not Path("other").exists()


def test_without_the_compiled_library(tmp_path):
    """A found network is trained where only torch is installed beside this package."""
    script = (
        "import sys\n"
        "sys.modules['amended_darts_ext'] = None\n"
        "from amended_darts.cli import main\n"
        "sys.exit(main(['retrain', '--genotype', 'DARTS_V1', '--cells', '3', '--channels', '2', '--epochs', '1', "
        "'--batch-size', '1024']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr

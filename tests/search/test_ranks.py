"""One search over two processes: what they compute, that they agree, and what is left when one of them is killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from amended_darts.checkpoint import load_checkpoint
from amended_darts.config import SearchConfig
from amended_darts.data import load_data
from amended_darts.errors import InputError
from amended_darts.ranks import Ranks
from amended_darts.search_state import SearchState

from . import rank_processes
from .processes import ENVIRONMENT
from .test_resume import same

SETTINGS = [
    "--space", "s2", "--cells", "1", "--channels", "2", "--epochs", "2", "--alpha-lr", "0.05", "--eigenvalue"
]  # fmt: skip


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("two")
    path = list(sys.path)
    sys.path.append(str(Path(__file__).parents[2]))  # a spawned process takes it over
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=rank_processes.run, args=(rank, 2, str(folder))) for rank in range(2)]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(240)
            assert process.exitcode == 0
    finally:
        sys.path[:] = path
        for process in processes:
            process.kill()
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)], folder / "run"


def test_steps_on_half_batches_are_those_of_one_process(two):
    """α and w after steps of every estimator, in a network without batch normalisation."""
    (zero, one), _ = two
    whole = rank_processes.steps(Ranks())
    assert len(whole) == 12
    for name, want in whole.items():
        assert torch.equal(zero["steps"][name], one["steps"][name]), name
        assert (zero["steps"][name] - want).norm() < 1e-6 * want.norm(), name


def test_processes_that_disagree_save_nothing(two):
    (zero, one), out = two
    assert zero["told"] == one["told"]
    assert zero["told"] == [
        f"the 2 processes of this search hold different {what}; nothing was saved" for what in ("α", "weights")
    ]
    assert load_checkpoint(out / "checkpoint.pt")["epoch"] == 0


def start(out, *more):
    """torchrun with two processes, as the documentation has it."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    return subprocess.Popen(
        [*command, "amended_darts", "search", *SETTINGS, "--out", str(out), *more],
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process):
    told = process.communicate(timeout=240)
    assert process.returncode == 0, told
    return told


def workers(process):
    """The two processes that torchrun started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children if b"amended_darts" in Path(f"/proc/{child}/cmdline").read_bytes()]


def results(out):
    state = load_checkpoint(out / "checkpoint.pt")
    kept = ("epoch", "network", "architecture", "weight_optimizer", "alpha_optimizer", "random")
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["seconds"], line["peak_memory_bytes"]
    return {"state": {name: state[name] for name in kept}, "lines": lines}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    told, _ = finish(start(out))
    assert told.count("epoch 1/2") == 1  # one process talks
    assert [path for path in sorted(os.listdir(out)) if path.startswith(".")] == []
    return results(out)


def test_a_killed_process_ends_the_run_and_a_new_start_resumes(tmp_path, whole):
    """Any of the two, at a random moment; to the bits of the run that nothing killed."""
    out = tmp_path / "run"
    process = start(out, "--checkpoint-every", "2")
    until = time.monotonic() + 120
    while not (out / "checkpoint.pt").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    chance = random.Random()
    time.sleep(chance.uniform(0, 1))
    found = workers(process)
    if len(found) == 2:  # otherwise it was done already
        os.kill(chance.choice(found), signal.SIGKILL)
    _, told = process.communicate(timeout=240)
    if process.returncode:
        assert "another process of this search ended" in told or "interrupted at epoch" in told or "SIGKILL" in told
    assert load_checkpoint(out / "checkpoint.pt")["epoch"] <= 2
    finish(start(out, "--resume"))
    assert same(results(out), whole)


def test_images_that_do_not_divide_are_refused():
    config = SearchConfig(space="s2", cells=1, channels=2, batch_size=15).resolved()
    with pytest.raises(InputError, match="--batch-size: expected a multiple of the 2 processes, got 15"):
        SearchState(config, load_data(config), Ranks(0, 2))
    config = SearchConfig(space="s2", cells=1, channels=2, batch_size=12, accumulate=4).resolved()
    with pytest.raises(InputError, match="--batch-size: expected at least 16 images for 2 processes and 4 parts"):
        SearchState(config, load_data(config), Ranks(0, 2))

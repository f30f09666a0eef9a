"""What is no checkpoint of this search is refused in one sentence and left as it is; a failed write changes nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from amended_darts import files, search_loop
from amended_darts.checkpoint import load_checkpoint, save_checkpoint
from amended_darts.config import SearchConfig
from amended_darts.errors import InputError, RunError
from amended_darts.search_loop import search
from hypothesis import given, settings
from hypothesis import strategies as st

from .soak import same


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    """They take longer than these searches, and test_search.py looks at them."""
    monkeypatch.setattr(search_loop, "_draw", lambda *arguments: None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "run"
    search(SearchConfig(space="s2", cells=1, channels=2, epochs=1, out=str(out), alpha_lr=0.05, alpha_every=1))
    return out


@pytest.fixture
def checkpoint(tiny, finished):
    """Of a finished search of one epoch, in the folder of ``tiny``."""
    shutil.copytree(finished, tiny().out)
    return Path(tiny().out) / "checkpoint.pt"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"space": "darts", "cells": 3}, "started with --space s2, --cells 1, got --space darts, --cells 3"),
        ({"seed": 1}, "started with --seed 0, got --seed 1"),
        ({"estimator": "first_order"}, "started with --estimator amended, got --estimator first_order (its options"),
        ({"rho": 1.0, "cap": 3.0}, "started with --rho 2.0, --cap None, got --rho 1.0, --cap 3.0"),
    ],
)
def test_another_search_is_refused(tiny, checkpoint, asked, told):
    before = checkpoint.read_bytes()
    with pytest.raises(InputError) as caught:
        search(tiny(epochs=1, resume=True, **asked))
    assert str(caught.value).startswith(f"{checkpoint}: this search was {told}")
    assert checkpoint.read_bytes() == before


def test_where_and_how_may_change(tiny, checkpoint):
    moved = checkpoint.parent.with_name("moved")
    shutil.move(checkpoint.parent, moved)
    search(tiny(epochs=1, resume=True, out=str(moved), implementation="reference", checkpoint_every=3))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1000])


def flip_bytes(path):
    content = bytearray(path.read_bytes())
    for index in range(len(content) // 2, len(content) // 2 + 200):  # more than the padding between two parts
        content[index] ^= 0xFF
    path.write_bytes(bytes(content))


def empty(path):
    path.write_bytes(b"")


def other_tensors(path):
    torch.save({"weights": torch.zeros(3)}, path)


def code_inside(path):
    """A pickle that would run a command if it were unpickled."""

    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {path.parent}/exploded",)

    torch.save({"format": "amended-darts search", "version": 2, "config": Bomb()}, path)


def of_the_future(path):
    torch.save({"format": "amended-darts search", "version": 99}, path)


def incomplete(path):
    state = torch.load(path, weights_only=True)
    del state["alpha_optimizer"]
    torch.save(state, path)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (truncate, "expected a whole checkpoint, got a truncated or foreign file"),
        (empty, "expected a whole checkpoint, got a truncated or foreign file"),
        (flip_bytes, "expected a whole checkpoint, "),
        (other_tensors, "expected a checkpoint of amended-darts search, got another kind of file"),
        (code_inside, "expected a checkpoint of amended-darts search, got another kind of file"),
        (of_the_future, "expected a checkpoint of version 2, got version 99"),
        (incomplete, "expected a complete checkpoint, it does not fit ('alpha_optimizer')"),
    ],
)
def test_damaged_and_foreign_files_are_refused(tiny, checkpoint, damage, told):
    damage(checkpoint)
    before = checkpoint.read_bytes()
    with pytest.raises(InputError) as caught:
        search(tiny(epochs=1, resume=True))
    assert str(caught.value).startswith(f"{checkpoint}: {told}")
    assert "\n" not in str(caught.value)
    assert checkpoint.read_bytes() == before
    assert not (checkpoint.parent / "exploded").exists()


@given(where=st.floats(0, 1, exclude_max=True), length=st.integers(1, 300))
@settings(max_examples=60)
def test_no_damage_goes_unseen(finished, tmp_path_factory, where, length):
    """Bytes changed anywhere: the file is refused, or they lay in padding and what is read is the same."""
    good = finished / "checkpoint.pt"
    content = bytearray(good.read_bytes())
    first = int(where * len(content))
    for index in range(first, min(first + length, len(content))):
        content[index] ^= 0xFF
    damaged = tmp_path_factory.mktemp("damaged") / "checkpoint.pt"
    damaged.write_bytes(bytes(content))
    try:
        state = load_checkpoint(damaged)
    except InputError:
        return
    assert same(state, load_checkpoint(good))


def test_a_finished_folder_is_not_run_over(tiny, checkpoint):
    config = tiny(epochs=1)
    before = checkpoint.read_bytes()
    with pytest.raises(InputError, match=r"--out: .* already holds a search; pass --resume .* or --overwrite"):
        search(config)
    assert checkpoint.read_bytes() == before
    search(tiny(epochs=1, overwrite=True))


def test_a_full_disk_keeps_the_checkpoint(tiny, checkpoint, monkeypatch):
    before = checkpoint.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot write .*checkpoint.pt: No space left on device"):
        save_checkpoint(checkpoint, {"step": 1})
    assert checkpoint.read_bytes() == before
    assert sorted(path.name for path in checkpoint.parent.iterdir() if path.name.startswith(".")) == []


def test_the_last_n_are_kept(tiny):
    """Under names with their steps in them; each resumes once it is renamed."""
    out = Path(tiny().out)
    whole = search(tiny(epochs=1, keep=3, checkpoint_every=4))
    names = sorted(path.name for path in out.glob("*.pt"))
    assert names == ["checkpoint-00000004.pt", "checkpoint-00000008.pt", "checkpoint.pt"]
    assert [load_checkpoint(out / name)["step"] for name in names] == [4, 8, 0]
    (out / "checkpoint-00000004.pt").replace(out / "checkpoint.pt")
    again = search(tiny(epochs=1, keep=1, resume=True))
    assert torch.equal(torch.cat(again.alpha), torch.cat(whole.alpha))
    assert [path.name for path in out.glob("*.pt")] == ["checkpoint.pt"]


def test_earlier_ones_are_copied_where_there_are_no_hard_links(tiny, monkeypatch):
    def refused(*arguments):
        raise PermissionError

    monkeypatch.setattr("amended_darts.checkpoint.os.link", refused)
    search(tiny(epochs=1, keep=2, checkpoint_every=4))
    earlier = Path(tiny().out) / "checkpoint-00000008.pt"
    assert load_checkpoint(earlier)["step"] == 8


def test_a_damaged_checkpoint_names_the_earlier_one(tiny):
    out = Path(tiny().out)
    search(tiny(epochs=1, keep=2, checkpoint_every=4))
    truncate(out / "checkpoint.pt")
    with pytest.raises(InputError, match=r"foreign file; checkpoint-00000008.pt beside it is an earlier one: renamed"):
        search(tiny(epochs=1, resume=True))


def test_overwriting_forgets_the_earlier_search(tiny):
    search(tiny(epochs=1, keep=3, checkpoint_every=4))
    search(tiny(epochs=1, keep=3, overwrite=True))
    names = sorted(path.name for path in Path(tiny().out).glob("*.pt"))
    assert names == ["checkpoint-00000000.pt", "checkpoint.pt"]

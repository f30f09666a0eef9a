"""What goes wrong while a search runs ends it in one sentence; what is on disk then is whole and resumes to the bits of
an undisturbed run."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from amended_darts import files, search_loop
from amended_darts.checkpoint import load_checkpoint
from amended_darts.errors import InputError, RunError
from amended_darts.search_loop import search
from PIL import Image

from .processes import COMMAND, ENVIRONMENT
from .soak import results, same, stamp

TINY = ["--space", "s2", "--cells", "1", "--channels", "2", "--epochs", "2", "--alpha-lr", "0.05", "--alpha-every", "1"]


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    monkeypatch.setattr(search_loop, "_draw", lambda *arguments: None)


@pytest.fixture
def whole(tiny, tmp_path):
    return results(search(tiny(out=str(tmp_path / "whole"))).out)


def test_a_disk_that_fills_up(tiny, whole, monkeypatch):
    """In the middle of the run: the checkpoint before stays, and nothing half-written with it."""
    original, calls = files.os.fsync, iter(range(100))

    def full(handle):
        if next(calls) > 12:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(handle)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(RunError, match=r"^cannot write .*: No space left on device$"):
            search(tiny(checkpoint_every=2))
    out = Path(tiny().out)
    assert load_checkpoint(out / "checkpoint.pt")["step"] > 0
    assert not list(out.glob(".*"))
    search(tiny(resume=True))
    assert same(results(out), whole)


def test_a_limit_of_the_system_on_the_command_line(tiny, whole):
    """No file of more than so many bytes: the first checkpoint, without momentum, fits, the next does not."""
    out = Path(tiny().out)
    search(tiny(out=str(out.parent / "small"), epochs=1))
    limit = (out.parent / "small" / "checkpoint.pt").stat().st_size - 1

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [*COMMAND, "search", *TINY, "--out", str(out)],
        env=ENVIRONMENT,
        preexec_fn=limited,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"amended-darts: cannot write {out}/checkpoint.pt: File too large\n"
    assert load_checkpoint(out / "checkpoint.pt")["epoch"] == 0
    search(tiny(resume=True))
    assert same(results(out), whole)


def test_a_read_only_folder(tiny, tmp_path):
    """Told before anything is computed."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:  # nothing is read-only for root
        os.chown(folder, 0, 0)
        os.seteuid(65534)
    try:
        with pytest.raises(InputError, match=r"^--out: expected a folder that can be written to, got .*locked"):
            search(tiny(out=str(folder / "run")))
        with pytest.raises(InputError, match=r"\(Permission denied\)$"):
            search(tiny(out=str(folder)))
    finally:
        os.seteuid(user)
    assert not list(folder.iterdir())


def test_a_folder_that_vanishes(tiny):
    config = tiny()
    with pytest.raises(RunError, match=r"^cannot write .*: No such file or directory$"):
        search(config, on_epoch=lambda line: shutil.rmtree(config.out))


@pytest.fixture
def photographs(tmp_path):
    """Two classes of 24 images for learning and 4 to be held out."""
    generator = torch.Generator().manual_seed(0)
    for part, count in (("train", 24), ("test", 4)):
        for label in ("a", "b"):
            folder = tmp_path / "photographs" / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = torch.randint(256, (8, 8, 3), dtype=torch.uint8, generator=generator).numpy()
                Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return tmp_path / "photographs"


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_cannot_be_read(tiny, tmp_path, photographs, workers):
    """Its file is named; once it is mended the search goes on where it was."""
    settings = {"data": "imagefolder", "root": str(photographs), "image_size": 8, "batch_size": 8, "epochs": 1}
    want = results(search(tiny(**settings, out=str(tmp_path / "undisturbed"))).out)
    broken = sorted((photographs / "test" / "b").iterdir())[0]
    good = broken.read_bytes()
    broken.write_bytes(b"no image")
    with pytest.raises(InputError, match=f"^{broken}: expected an image, cannot decode it"):
        search(tiny(**settings, workers=workers, checkpoint_every=1))
    out = Path(tiny().out)
    assert load_checkpoint(out / "checkpoint.pt")["step"] == 3
    broken.write_bytes(good)
    search(tiny(**settings, workers=workers, resume=True))
    assert same(results(out), want)


def test_an_image_of_the_training_half_that_cannot_be_read(tiny, photographs):
    for broken in (photographs / "train" / "a").iterdir():
        broken.write_bytes(b"no image")
    settings = {"data": "imagefolder", "root": str(photographs), "image_size": 8, "batch_size": 8, "epochs": 1}
    with pytest.raises(InputError, match=r"train/a/\d\d.png: expected an image, cannot decode it"):
        search(tiny(**settings))


def test_ctrl_c_twice_on_the_command_line(tiny):
    """The second one ends the process wherever it is; the checkpoint is whole."""
    out = Path(tiny().out)
    settings = ["--space", "darts", "--cells", "8", "--channels", "16", "--batch-size", "256"]  # long steps
    process = subprocess.Popen(
        [*COMMAND, "search", *settings, "--out", str(out)],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not stamp(out / "checkpoint.pt"):
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)  # it finishes its step first
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130
    assert told == "amended-darts: interrupted\n"
    assert load_checkpoint(out / "checkpoint.pt")["step"] == 0

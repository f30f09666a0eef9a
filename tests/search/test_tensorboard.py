"""The events that --tensorboard writes, read back; also those of a search that went on."""

from __future__ import annotations

from pathlib import Path

import pytest
from amended_darts import InputError, search, search_loop
from amended_darts.callbacks import Callback
from amended_darts.words import Clock

tensorboard = pytest.importorskip("tensorboard")


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    monkeypatch.setattr(search_loop, "_draw", lambda *arguments: None)


def events(out):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(Path(out) / "tensorboard"), size_guidance={"images": 0})
    read.Reload()
    return read


def test_numbers_distributions_and_pictures(tiny):
    result = search(tiny(tensorboard=True))
    read = events(result.out)
    for name in ("train_loss", "heldout_accuracy", "alpha_entropy", "skip_share", "peak_memory_bytes"):
        points = [(event.step, event.value) for event in read.Scalars(name)]
        assert points == [(line["epoch"], pytest.approx(line[name])) for line in result.history]
    counts = [event.value for event in read.Scalars("operators/sep_conv_3x3")]
    assert counts == [line["operators"]["sep_conv_3x3"] for line in result.history]
    (group,) = {name.partition("/")[2] for name in read.Tags()["histograms"]}
    last = read.Histograms(f"weights/{group}")[-1].histogram_value
    assert last.num == 28  # 14 edges of two operators
    assert last.sum == pytest.approx(14)
    (picture,) = read.Images("cells")
    assert picture.step == 2
    assert picture.width > picture.height > 100


def test_epochs_that_are_computed_again_count_once(tiny):
    class Breaking(Callback):
        def on_step(self, state, measured):
            if state.epoch == 2:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        search(tiny(tensorboard=True, epochs=3), callbacks=[Breaking()])
    result = search(tiny(tensorboard=True, epochs=3, resume=True))
    assert [event.step for event in events(result.out).Scalars("train_loss")] == [1, 2, 3]


def test_without_the_package(tiny, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboard", None)
    with pytest.raises(
        InputError, match=r'--tensorboard needs tensorboard.*pip install "amended-darts\[tensorboard\]"'
    ):
        search(tiny(tensorboard=True))
    assert not Path(tiny().out).exists()


def test_time_left(monkeypatch):
    now = iter([100.0, 130.0])
    monkeypatch.setattr("amended_darts.words.time.monotonic", lambda: next(now))
    clock = Clock()
    clock.start(2)
    assert clock.left(5, 10) == "50.0 s"

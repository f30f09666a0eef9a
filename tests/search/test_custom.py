"""Data and operators of one's own: whatever they are, a search resumes to the same bits, and misfits are told."""

from __future__ import annotations

import random
from pathlib import Path

import numpy
import pytest
import torch
from amended_darts import (
    Callback,
    InputError,
    Space,
    custom_data,
    register_candidate,
    register_space,
    search,
    search_loop,
    uniform,
)
from amended_darts.data import as_data_set
from amended_darts.data.images import MemoryImages
from amended_darts.spaces import CUSTOM, SPACES
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from .soak import results, same

pytestmark = pytest.mark.usefixtures("registered_for_this_test")


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    monkeypatch.setattr(search_loop, "_draw", lambda *arguments: None)


def tensors(count, size=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 2, size, size, generator=generator), torch.arange(count) % 3


class Noisy(Dataset):
    """Draws from all three global generators, as transforms do."""

    classes = ("a", "b", "c")

    def __init__(self, count):
        self.images, self.targets = tensors(count)

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        noise = torch.randn(()) + random.random() + numpy.random.rand()
        return self.images[index] + 0.1 * noise.float(), int(self.targets[index])


def test_tensors():
    data = custom_data(tensors(40), tensors(9, seed=1))
    assert isinstance(data.train, MemoryImages)
    assert (data.name, data.classes, data.image_size) == ("custom", ("0", "1", "2"), (6, 6))
    pixels = data.train.pixels.double()
    assert data.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist())
    assert data.std == pytest.approx(pixels.std((0, 2, 3)).tolist())


def test_datasets_are_taken_as_they_are():
    data = as_data_set((Noisy(40), TensorDataset(*tensors(9))))
    assert (data.classes, data.mean, data.std) == (("a", "b", "c"), (0.0, 0.0), (1.0, 1.0))
    assert torch.equal(data.heldout.labels, torch.arange(9) % 3)  # a TensorDataset is read for its labels
    (pixels, labels), _ = list(data.heldout.batches(torch.arange(9).split(6)))
    assert torch.equal(pixels, tensors(9)[0][:6])
    assert torch.equal(labels, torch.arange(6) % 3)


@pytest.mark.parametrize("workers", [0, 1])
def test_random_datasets_resume_to_the_same_bits(tiny, tmp_path, workers):
    """Whoever makes the images, and whatever else draws random numbers meanwhile."""
    data = (Noisy(64), Noisy(12))
    settings = {"epochs": 2, "batch_size": 8, "workers": workers}
    whole = search(tiny(**settings, out=str(tmp_path / "whole")), data=data)

    def disturb(line):
        random.random()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        search(tiny(**settings), disturb, data=data)
    random.seed(3)
    search(tiny(**{**settings, "workers": 0}, resume=True), data=data)
    assert same(results(Path(tiny().out)), results(whole.out))
    assert whole.config.data == "custom"


def test_every_pass_draws_anew():
    """Same image, another pass: other noise; same step: the same."""
    images = as_data_set((Noisy(8), Noisy(8))).train
    state = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[2]

    def first(seed):
        return next(images.batches([torch.arange(4)], iter([seed])))[0]

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))
    assert torch.equal(torch.get_rng_state(), state[0])
    assert (random.getstate(), numpy.random.get_state()[2]) == state[1:]


def test_a_fraction_of_ones_own_data(tiny):
    result = search(tiny(epochs=1, fraction=0.5, batch_size=8), data=(Noisy(64), Noisy(12)))
    assert result.history[0]["steps"] == 1  # 31 of 64 images, 15 of them for w


GOOD = tensors(8)
WRONG = {
    "data: expected a DataSet or a pair (train, heldout), each a dataset or a pair of tensors, got int": 3,
    "train: expected a pair of tensors or a dataset with a length and items (image, label), got int": (3, GOOD),
    "train: expected images [n, C, H, W] and labels [n], got [8, 2, 6] and [8]": ((GOOD[0][..., 0], GOOD[1]), GOOD),
    "train: expected labels that are integers from 0, got torch.float32": ((GOOD[0], GOOD[1].float()), GOOD),
    "heldout: expected labels that are integers from 0, got torch.int64 from -1": (GOOD, (GOOD[0], GOOD[1] - 1)),
    "heldout: expected images [2, 6, 6] like those of train, got [2, 7, 7]": (GOOD, tensors(8, 7)),
    "heldout: expected one image at least, got none": (GOOD, (GOOD[0][:0], GOOD[1][:0])),
    "item 0 of the dataset: expected an image that is a tensor [C, H, W], got str": ([("x", 0)], GOOD),
    "classes: expected 6 names, as the largest label is 5, got 3": (Noisy(8), (GOOD[0], GOOD[1] + 3)),
}


class Listed(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


@pytest.mark.parametrize("told", WRONG)
def test_misfits_are_told(told):
    data = WRONG[told]
    if isinstance(data, tuple) and isinstance(data[0], list):
        data = (Listed(data[0]), data[1])
    with pytest.raises(InputError) as caught:
        as_data_set(data)
    assert str(caught.value).startswith(told)
    with pytest.raises(InputError, match="mean: expected 2 numbers, one for each channel, got 1"):
        custom_data(GOOD, GOOD, mean=(0.0,))


@pytest.fixture
def own():
    """An operator with weights of its own, in a space of its own; both gone after the test."""
    register_candidate("plain_conv", lambda channels, stride: nn.Conv2d(channels, channels, 3, stride, 1))
    edges = uniform(1, ("skip_connect", "plain_conv"))
    register_space(Space("own", nodes=1, normal=edges, reduction=edges, cells=3, channels=2))
    yield
    del SPACES["own"], CUSTOM["plain_conv"]


def test_operators_of_ones_own_resume_to_the_same_bits(own, tiny, tmp_path):
    settings = {"space": "own", "cells": 3}
    whole = search(tiny(**settings, out=str(tmp_path / "whole")))
    assert {edge.op for cell in whole.genotype.cells for edge in cell.edges} <= {"skip_connect", "plain_conv"}

    def stop(line):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        search(tiny(**settings), stop)
    search(tiny(**settings, resume=True))
    assert same(results(Path(tiny().out)), results(whole.out))


class Asking(nn.Module):
    """Reads a value of its input, which nothing without values can foresee."""

    def forward(self, x):
        return x * (1.0 if float(x.detach().mean()) > 0 else 0.5)


def test_operators_whose_memory_cannot_be_foreseen(own, tiny):
    register_candidate("plain_conv", lambda channels, stride: nn.Sequential(nn.AvgPool2d(1, stride), Asking()))
    notes = []

    class Reader(Callback):
        def on_start(self, state):
            notes.extend(state.notes)

    result = search(tiny(space="own", cells=3, epochs=1), callbacks=[Reader()])
    assert result.config.recompute == "always"
    assert notes[0].startswith("branch outputs are computed again for backward: what keeping them takes is unknown (")


def test_names_are_checked(own):
    with pytest.raises(InputError, match=r"name: expected lower-case letters, .* got 'skip_connect'"):
        register_candidate("skip_connect", nn.Conv2d)
    with pytest.raises(InputError, match=r"factory: expected a function of \(channels, stride\), got int"):
        register_candidate("mine", 3)
    with pytest.raises(InputError, match="space: expected a name of its own, got darts"):
        register_space(SPACES["darts"])
    with pytest.raises(InputError, match=r"expects distinct operators of .*, plain_conv, one at least"):
        Space("other", nodes=4, normal=uniform(4, ("absent",)), reduction=uniform(4, ("absent",)))

"""Generators of python, numpy and torch continue where they were captured, through a checkpoint file too."""

from __future__ import annotations

import random

import numpy
import torch
from amended_darts import randomness
from amended_darts.checkpoint import load_checkpoint, save_checkpoint


def draw():
    return random.random(), random.gauss(0, 1), numpy.random.rand(), numpy.random.randn(), float(torch.rand(()))


def test_round_trip(tmp_path):
    with randomness.preserved():
        randomness.seed_everything(5)
        draw()  # leaves half of a pair of Gaussians in python's and numpy's generators
        save_checkpoint(tmp_path / "checkpoint.pt", {"random": randomness.capture()})
        expected = draw()
        assert draw() != expected
        randomness.restore(load_checkpoint(tmp_path / "checkpoint.pt")["random"])
        assert draw() == expected
        randomness.seed_everything(5)
        again = draw()
        randomness.seed_everything(5)
        assert draw() == again


def test_preserved():
    before = randomness.capture()
    with randomness.preserved():
        randomness.seed_everything(1)
        draw()
    after = randomness.capture()
    assert torch.equal(before.pop("torch"), after.pop("torch"))
    assert before == after

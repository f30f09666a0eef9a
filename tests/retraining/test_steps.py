"""One step, one schedule, one square: each part of the recipe against what its paper says."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from amended_darts.data import load_data
from amended_darts.data.cutout import cutout
from amended_darts.published import find_genotype
from amended_darts.retraining import RetrainConfig
from amended_darts.retraining.evaluation import evaluate
from amended_darts.retraining.loop import train_step
from amended_darts.retraining.state import RetrainState
from torch import nn


@pytest.fixture
def make(tiny):
    def state(**settings):
        config = tiny(**settings).resolved()
        return RetrainState(config, find_genotype(config.genotype), load_data(config))

    return state


def test_schedules(make):
    state = make(epochs=10)
    rates, drops = [], []
    for state.epoch in range(10):
        rates.append(state.learning_rate)
        drops.append(state.drop_path)
    assert rates == pytest.approx([0.0125 * (1 + math.cos(math.pi * epoch / 10)) for epoch in range(10)])
    assert drops == pytest.approx([0.05 * epoch for epoch in range(10)])
    state = make(recipe="imagenet", augment="none", epochs=10)
    for state.epoch in range(10):
        assert state.learning_rate == pytest.approx(0.1 * 0.97**state.epoch)


def test_the_network_is_given_the_probability_of_the_epoch(make, monkeypatch):
    from amended_darts.retraining import loop

    state, seen = make(), []
    monkeypatch.setattr(loop, "train_step", lambda state, *batch: seen.append(state.network.drop_path) or {})
    for state.epoch in range(2):
        state.step = 0
        loop._train_epoch(state, iter([((), ())] * 5), loop.StopRequest(), loop.Progress())
    assert seen == [0.0] * 5 + [0.25] * 5


def test_a_step_is_sgd_on_both_losses(make):
    """The weights after one step, against the formula written down: smoothing, 0.4 times the auxiliary loss, clipping,
    weight decay (momentum has no past yet)."""
    state = make(label_smoothing=0.1, auxiliary=0.4, clip=0.5, drop_path=0.0, lr=0.1, weight_decay=0.01)
    images, labels = next(state.stream.batches(0))
    network = state.network
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    logits, beside = network.forward_both(images)
    classes = logits.shape[1]
    target = F.one_hot(labels, classes) * 0.9 + 0.1 / classes
    losses = [-(target * values.log_softmax(1)).sum(1).mean() for values in (logits, beside)]
    gradients = torch.autograd.grad(losses[0] + 0.4 * losses[1], list(network.parameters()))
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    assert norm > 0.5
    network.load_state_dict({**before, **buffers})
    measured = train_step(state, images, labels)
    assert float(measured["train_loss"]) == pytest.approx(losses[0].item(), rel=1e-5)
    for (name, value), gradient in zip(network.named_parameters(), gradients, strict=True):
        expected = before[name] - 0.1 * (gradient * 0.5 / (norm + 1e-6) + 0.01 * before[name])
        assert torch.allclose(value, expected, atol=1e-6), name


def test_no_clipping_with_zero(make):
    state = make(clip=0.0, lr=1.0, weight_decay=0.0, auxiliary=0.0)
    images, labels = next(state.stream.batches(0))
    before = state.network.classifier.bias.detach().clone()
    state.network.classifier.weight.data.mul_(100)
    logits = state.network(images)
    expected = (logits.softmax(1) - F.one_hot(labels, logits.shape[1])).mean(0)
    train_step(state, images, labels)
    assert torch.allclose(before - state.network.classifier.bias, expected, atol=1e-5)


def test_cutout_erases_a_square_around_a_uniform_centre():
    images = torch.ones(4000, 2, 6, 5)
    erased = cutout(images, 4, torch.Generator().manual_seed(0)) == 0
    assert bool((erased[:, 0] == erased[:, 1]).all())
    rows, columns = erased[:, 0].any(2), erased[:, 0].any(1)
    assert bool((erased[:, 0] == rows.unsqueeze(2) & columns.unsqueeze(1)).all())  # rectangles
    # A centre c erases c - 2 to c + 1, cut off at the border: of 6 rows the counts are 2, 3, 4, 4, 4, 3.
    counts = torch.bincount(rows.sum(1), minlength=5) / 4000
    assert counts.tolist() == pytest.approx([0, 0, 1 / 6, 2 / 6, 3 / 6], abs=0.03)
    assert set(columns.sum(1).tolist()) == {2, 3, 4}
    assert cutout(images, 0, torch.Generator()) is images
    assert bool((images == 1).all())  # the images that were given are untouched


class Fixed(nn.Module):
    """Always the same guesses: class 3, then 1, 4, 0, 2, then the others."""

    def forward(self, x):
        scores = torch.tensor([7.0, 9.0, 6.0, 10.0, 8.0, 1.0, 2.0, 3.0, 4.0, 5.0])
        return scores.expand(len(x), 10)


def test_top1_and_top5():
    data = load_data(RetrainConfig().resolved())
    measured = evaluate(Fixed(), data, 100, torch.device("cpu"))
    labels = data.heldout.labels
    assert measured["images"] == 360
    assert measured["top1"] == pytest.approx(float((labels == 3).double().mean()))
    assert measured["top5"] == pytest.approx(float((labels < 5).double().mean()))
    scores = Fixed()(torch.zeros(360, 1))
    assert measured["loss"] == pytest.approx(float(F.cross_entropy(scores, labels)), rel=1e-6)

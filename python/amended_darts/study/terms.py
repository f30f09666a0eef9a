"""What the two terms of the amended gradient do to each operator, and how much of that is the noise of a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from amended_darts import randomness
from amended_darts.architecture import Architecture
from amended_darts.callbacks import Callback
from amended_darts.fidelity.problems import flat
from amended_darts.hypergradient import amended, first_order, frozen_buffers
from amended_darts.search_state import SearchState
from amended_darts.search_steps import losses

Batch = tuple[Tensor, Tensor]
BATCHES = 4


class Terms(Callback):
    """Adds ``terms`` to the metrics of some epochs: a list with one entry for each number of images.

    First term g1 and second term −A H v are taken on four pairs of batches that share no image, and compared:

    - ``images`` in a batch;
    - ``ratio``: ‖mean second term‖ / ‖mean first term‖;
    - ``cosine`` between the two means;
    - ``first_agreement``, ``second_agreement``: mean cosine between the terms of two batches; 1 without noise;
    - ``first_push``, ``second_push``: by operator, the mean over edges of minus the term, in units of its root mean
      square: where it is positive, that term makes the operator's α grow.

    The search goes on as if nothing had been measured.

    Args:
        every: epochs from one measurement to the next; the last epoch is measured too.
        sizes: of the batches, images; those that the halves are too small for are left out.
    """

    def __init__(self, every: int, sizes: tuple[int, ...] = (64, 256)) -> None:
        self.every = every
        self.sizes = sizes

    def on_measure(self, state: SearchState, metrics: dict[str, Any]) -> None:
        epoch = state.epoch + 1
        if epoch % self.every and epoch != state.config.epochs:
            return
        training = state.network.training
        state.network.train()
        with randomness.preserved(), frozen_buffers(state.network):
            metrics["terms"] = [found for size in self.sizes if (found := measure_terms(state, size)) is not None]
        state.network.train(training)


def measure_terms(state: SearchState, size: int) -> dict[str, Any] | None:
    """The entry for batches of ``size`` images; None where a half has too few."""
    train, val = (_batches(stream.sample(BATCHES * size), size) for stream in (state.weight_stream, state.alpha_stream))
    if min(len(train), len(val)) < BATCHES:
        return None
    pairs = [_terms(state, *pair) for pair in zip(train, val, strict=True)]
    first, second = (torch.stack(terms) for terms in zip(*pairs, strict=True))
    means = first.mean(0), second.mean(0)
    return {
        "images": size,
        "ratio": float(means[1].norm() / means[0].norm()),
        "cosine": float(torch.cosine_similarity(*means, dim=0)),
        "first_agreement": _agreement(first),
        "second_agreement": _agreement(second),
        "first_push": push(state.architecture, means[0]),
        "second_push": push(state.architecture, means[1]),
    }


def _batches(batches: Any, size: int) -> list[Batch]:
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    count = min(BATCHES, len(images) // size)
    return list(zip(images.split(size)[:count], labels.split(size)[:count], strict=True))


def _terms(state: SearchState, train: Batch, val: Batch) -> tuple[Tensor, Tensor]:
    """First and second term, each flat and on the CPU."""
    network, architecture = state.network, state.architecture

    def loss(batch: Batch, auxiliary: float) -> Tensor:
        return losses(network(batch[0], architecture.weights()), batch[1], auxiliary)[2]

    arguments: Any = (
        lambda: loss(train, state.config.auxiliary or 0.0),
        lambda: loss(val, 0.0),
        list(network.parameters()),
        list(architecture.parameters()),
    )
    first, whole = flat(first_order(*arguments)).cpu(), flat(amended(*arguments, eta=1.0)).cpu()
    return first, whole - first


def _agreement(terms: Tensor) -> float:
    """Mean cosine between two rows, [n, m]."""
    unit = torch.nn.functional.normalize(terms, dim=1)
    count = len(unit)
    return float((unit.sum(0).square().sum() - count) / (count * (count - 1)))


def push(architecture: Architecture, term: Tensor) -> dict[str, float]:
    """By operator, the mean over the edges that offer it of minus the term, in units of the term's root mean square.

    Args:
        term: a gradient with respect to all of α, flat.
    """
    unit = -term / term.square().mean().sqrt()
    parts = unit.split([alpha.numel() for alpha in architecture.alphas])
    return architecture.by_operator(part.view_as(alpha) for part, alpha in zip(parts, architecture.alphas, strict=True))

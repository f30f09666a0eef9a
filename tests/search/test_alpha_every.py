"""Steps of α that see the images of several steps of w."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from amended_darts import Interrupted, SearchConfig, search
from amended_darts.callbacks import Callback
from amended_darts.data import load_data
from amended_darts.search_batches import step_batches
from amended_darts.search_state import SearchState
from amended_darts.search_steps import losses

TINY = SearchConfig(
    space="nasbench201", cells=3, channels=2, epochs=3, batch_size=32, fraction=0.2, compare=False, alpha_every=3,
    estimator="first_order", recompute="never",
)  # fmt: skip


class Moves(Callback):
    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_step(self, state, measured) -> None:
        if "alpha_loss" in measured:
            self.steps.append(state.total_step)


def test_alpha_moves_in_every_third_step(tmp_path: Path) -> None:
    moves = Moves()
    result = search(replace(TINY, out=str(tmp_path), alpha_start_epoch=1), callbacks=[moves])
    per_epoch = result.history[0]["steps"]
    assert moves.steps == [step + 1 for step in range(per_epoch, 3 * per_epoch, 3)]
    assert result.history[0]["alpha_loss"] is None
    assert result.history[1]["alpha_loss"] is not None


def test_its_gradient_is_that_of_all_their_images(tmp_path: Path) -> None:
    """Batch by batch: normalisation sees 32 images at a time."""
    state = SearchState(replace(TINY, out=str(tmp_path)).resolved(), load_data(TINY))
    with step_batches(state) as batches:
        train, alpha = next(batches)
        following = [next(batches) for _ in range(2)]
    assert alpha is not None
    assert [later for _, later in following] == [None, None]
    assert torch.equal(alpha[0][0], torch.cat([train[0], *(batch[0] for batch, _ in following)]))
    assert len(alpha[1][1]) == 96

    def loss() -> torch.Tensor:
        images, labels, share = state.alpha_parts.of(alpha[1])
        return share * losses(state.network(images, state.architecture.weights()), labels)[1]

    alphas = list(state.architecture.parameters())
    found = state.alpha_gradient(loss, alphas)
    each = []
    for images, labels in zip(alpha[1][0].split(32), alpha[1][1].split(32), strict=True):
        value = losses(state.network(images, state.architecture.weights()), labels)[1]
        each.append(torch.autograd.grad(value, alphas))
    for mean, parts in zip(found, zip(*each, strict=True), strict=True):
        torch.testing.assert_close(mean, torch.stack(parts).mean(0), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("at", [1, 2, 3, 5])
def test_a_search_resumes_between_two_steps_of_alpha(tmp_path: Path, at: int) -> None:
    whole = search(replace(TINY, out=str(tmp_path / "whole"), estimator="amended"))

    class Stop(Callback):
        def on_step(self, state, measured) -> None:
            if state.total_step == at:
                import signal

                signal.raise_signal(signal.SIGTERM)

    config = replace(TINY, out=str(tmp_path / "parts"), estimator="amended")
    with pytest.raises(Interrupted):
        search(config, callbacks=[Stop()])
    resumed = search(replace(config, resume=True))
    assert all(torch.equal(a, b) for a, b in zip(whole.alpha, resumed.alpha, strict=True))
    assert [line["train_loss"] for line in whole.history] == [line["train_loss"] for line in resumed.history]

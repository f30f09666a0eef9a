"""The search: w and α in turn, epoch by epoch, until interrupted or done."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from amended_darts import randomness
from amended_darts.accumulation import Batch
from amended_darts.callbacks import Callback, Callbacks, Functions
from amended_darts.capturable import group_settings, set_learning_rate
from amended_darts.checkpoint import forget_earlier
from amended_darts.config import SearchConfig
from amended_darts.consistency import describe as describe_consistency
from amended_darts.data import as_data_set, heldout_batches, load_data, with_options
from amended_darts.early_warning.callback import EarlyWarning
from amended_darts.errors import InputError
from amended_darts.estimators import call_settings
from amended_darts.extras import require
from amended_darts.files import prepare_folder, remove_leftovers, write_text
from amended_darts.genotype import Genotype
from amended_darts.graphs import plainly
from amended_darts.heap import GrowingHeap, give_back_heap
from amended_darts.interrupt import StopRequest
from amended_darts.metrics import finite, peak_memory
from amended_darts.progress import Progress
from amended_darts.ranks import joined_ranks
from amended_darts.search_batches import StepBatches, step_batches
from amended_darts.search_result import SearchResult, best_epoch
from amended_darts.search_state import SearchState
from amended_darts.search_steps import accuracy, alpha_step, weight_step
from amended_darts.tensorboard import TensorBoard

RESULTS = ("genotype.json", "cells.svg", "alphas.png")


def search(
    config: SearchConfig,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    *,
    data: Any = None,
    on_step: Callable[[dict[str, Tensor]], None] | None = None,
    callbacks: Iterable[Callback] = (),
) -> SearchResult:
    """Searches, and writes config.json, metrics.jsonl, genotype.json, checkpoint.pt, cells.svg and alphas.png to
    ``config.out``.

    On a CPU a run that was interrupted and resumed gives bit for bit what the uninterrupted run gives, on the same kind
    of machine with as many threads (PyTorch's own convolutions depend on both).

    Args:
        config: what to search, where and how.
        on_epoch: called after each epoch with its line of metrics.jsonl.
        data: images of one's own in place of ``config.data``: a pair (train, heldout), each a PyTorch dataset or a pair
            of tensors (images [n, C, H, W], labels [n]), or what :func:`amended_darts.custom_data` makes of them.
        on_step: called after each step with what it measured: 0-d tensors, train_loss and others.
        callbacks: hooks with more to say, ``amended_darts.Callback``.

    Raises:
        InputError: a setting, the data or a checkpoint that does not fit.
        RunError: a loss that is not finite, a file that cannot be written; the last good checkpoint stays.
        Interrupted: Ctrl-C or SIGTERM, after saving a checkpoint of the step reached.
    """
    config = config.resolved()
    require("matplotlib", "drawing the cells")  # now, not after hours of searching
    watching = [TensorBoard()] if config.tensorboard else []
    hooks = Callbacks([EarlyWarning(config), Progress(), *watching, *callbacks, Functions(on_epoch, on_step)])
    with randomness.preserved(), StopRequest() as stop, joined_ranks(config.device) as ranks:
        images = load_data(config) if data is None else with_options(as_data_set(data, config.workers), config)
        state = SearchState(replace(config, data=images.name), images, ranks)
        ranks.by_first(lambda: prepare_folder(state.checkpoint.parent, "--out"))
        _begin(state)
        with step_batches(state) as batches, hooks.closing(state):
            hooks.on_start(state)
            while not state.finished:
                _train_epoch(state, batches, stop, hooks)
                metrics = _end_epoch(state, stop, hooks)
                hooks.on_epoch(state, metrics)
                if not state.finished:
                    state.stop_or_save(stop, False)
            result = _result(state)
            hooks.on_end(state, result)
        return result


def _result(state: SearchState) -> SearchResult:
    """Of the epoch that counts, with its genotype and pictures written."""
    epoch = state.chosen or state.epoch
    alpha = state.alphas[epoch - 1]
    genotype = state.architecture.genotype(alpha)
    weights = state.architecture.weights(alpha)
    state.ranks.by_first(lambda: _write_result(state, genotype, weights))
    return SearchResult(
        config=state.config,
        genotype=genotype,
        alpha=alpha,
        weights=weights,
        history=state.history.epochs,
        epoch=epoch,
        best_epoch=best_epoch(state.history.epochs),
        stopped=state.stopped,
        alphas=state.alphas,
        out=state.checkpoint.parent,
        architecture=state.architecture,
    )


def _begin(state: SearchState) -> None:
    """Loads or refuses what the folder holds, and leaves a checkpoint there before the first step."""
    config, out = state.config, state.checkpoint.parent
    if state.ranks.by_first(state.checkpoint.exists):
        if config.resume:
            state.load()
        elif not config.overwrite:
            raise InputError(
                f"--out: {out} already holds a search; pass --resume to continue it or --overwrite to replace it"
            )
    state.ranks.by_first(lambda: _prepare_files(state))
    if state.total_step == 0:
        state.save()


def _prepare_files(state: SearchState) -> None:
    """The folder's files as they belong to the state."""
    config, out = state.config, state.checkpoint.parent
    remove_leftovers(out)
    state.history.write()
    # How this start treats an earlier one is no setting: the file must serve with --resume too.
    settings = {name: value for name, value in config.to_dict().items() if name not in ("resume", "overwrite")}
    write_text(out / "config.json", json.dumps(settings, indent=2) + "\n")
    write_text(out / "consistency.txt", describe_consistency(config))
    if state.total_step == 0:
        for name in RESULTS:  # of a search that is overwritten
            (out / name).unlink(missing_ok=True)
        forget_earlier(state.checkpoint, 0)


def _train_epoch(state: SearchState, batches: Iterator[StepBatches], stop: StopRequest, hooks: Callbacks) -> None:
    """The steps of the epoch that are left to do."""
    config = state.config
    set_learning_rate(state.weight_optimizer, state.learning_rate)
    state.enter_epoch()
    state.network.train()
    heap = GrowingHeap()
    while state.step < state.steps_per_epoch:
        began = time.perf_counter()
        measured = _step(state, *next(batches))
        state.means.add(**measured)
        state.step += 1
        state.seconds += time.perf_counter() - began
        hooks.on_step(state, measured)
        heap.after_step()
        due = config.checkpoint_every > 0 and state.total_step % config.checkpoint_every == 0
        state.stop_or_save(stop, due)


def _step(state: SearchState, train: Batch, alpha_batches: tuple[Batch, Batch] | None) -> dict[str, Tensor]:
    """α and w in turn, each a step on; what they measured, on average over the processes.

    Raises:
        RunError: a loss or gradient that is not finite; names the step.
    """
    config, measured = state.config, dict[str, Tensor]()
    settings = call_settings(config, state.weight_optimizer, state.learning_rate)
    run = state.graphs or plainly

    def alpha(train: Batch, val: Batch) -> dict[str, Tensor]:
        return alpha_step(
            state.model, state.architecture, state.alpha_optimizer, train, val, config.estimator, settings,
            parts=state.alpha_parts, gradient=state.alpha_gradient, auxiliary=config.auxiliary or 0.0,
        )  # fmt: skip

    def weight(train: Batch) -> dict[str, Tensor]:
        return weight_step(
            state.model, state.architecture, state.weight_optimizer, train, config.clip,
            precision=state.precision, parts=state.parts, gradient=state.gradient, auxiliary=config.auxiliary or 0.0,
        )  # fmt: skip

    try:
        if alpha_batches is not None:
            measured = run("α", alpha, alpha_batches, [settings, group_settings(state.alpha_optimizer)])
            state.check_finite(measured["alpha_loss"], measured.pop("gradient_norm"), "α")
        measured |= run("w", weight, (train,), group_settings(state.weight_optimizer))
    except FloatingPointError as error:
        raise state.failed(error) from None
    state.check_finite(measured["train_loss"], measured.pop("gradient_norm"), "w")
    return state.ranks.mean(measured)


def _end_epoch(state: SearchState, stop: StopRequest, hooks: Callbacks) -> dict[str, Any]:
    """Measures on the held-out images, writes the epoch's line, the genotype and the checkpoint."""
    began = time.perf_counter()
    loss, right = _evaluate(state, stop)
    state.seconds += time.perf_counter() - began
    genotype = state.architecture.genotype()
    means = {name: state.means.mean(name) for name in _MEANS}
    metrics = {
        "epoch": state.epoch + 1,
        "steps": state.total_step,
        "learning_rate": state.learning_rate,
        **means,
        "heldout_loss": loss,
        "heldout_accuracy": right,
        "alpha_entropy": state.architecture.entropy(),
        "operators": genotype.operator_counts(),
        "seconds": round(state.seconds, 3),
        "peak_memory_bytes": state.ranks.largest(peak_memory(state.device)),
    }
    give_back_heap()
    hooks.on_measure(state, metrics)
    decided = metrics, state.stopped, state.chosen
    metrics, state.stopped, state.chosen = state.ranks.by_first(lambda: decided)
    state.ranks.by_first(lambda: genotype.save(state.checkpoint.parent / "genotype.json"))
    state.history.append(metrics)
    state.alphas.append([alpha.detach().cpu().clone() for alpha in state.architecture.alphas])
    state.next_epoch()
    state.save()
    return metrics


_MEANS = (
    "train_loss",
    "train_accuracy",
    "alpha_loss",
    "alpha_accuracy",
    "second_ratio",
    "second_unscaled_ratio",
    "second_cosine",
)


@torch.no_grad()
def _evaluate(state: SearchState, stop: StopRequest) -> tuple[float | None, float]:
    """Loss and accuracy of the super-network on the held-out images, with running statistics."""
    network = state.network.eval()
    state.ranks.copy_first_(network.buffers())
    weights = state.architecture.weights()
    loss = right = torch.zeros((), dtype=torch.float64, device=state.device)
    with randomness.preserved():  # an interrupted evaluation starts over
        for images, labels in heldout_batches(state.data, state.config.batch_size, state.device, state.ranks.shard):
            logits = network(images, weights)
            loss = loss + F.cross_entropy(logits, labels, reduction="sum").double()
            right = right + accuracy(logits, labels) * len(labels)
            if stop.requested:
                break
    state.stop_or_save(stop, False)
    loss, right = state.ranks.sum(torch.stack([loss, right])).unbind()
    count = len(state.data.heldout.labels)
    return finite(float(loss) / count), float(right) / count


def _write_result(state: SearchState, genotype: Genotype, weights: list[Tensor]) -> None:
    genotype.save(state.checkpoint.parent / "genotype.json")
    _draw(state, genotype, weights)


def _draw(state: SearchState, genotype: Genotype, weights: list[Tensor]) -> None:
    """The pictures of the result."""
    from amended_darts.drawing import draw_alphas, draw_cells

    out, space, topology = state.checkpoint.parent, state.architecture.space, state.architecture.topology
    draw_cells(genotype, out / "cells.svg")
    draw_alphas(space, space.groups(state.architecture.cells), weights, out / "alphas.png", topology)

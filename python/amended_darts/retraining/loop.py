"""The re-training: epoch by epoch, until interrupted or done."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from amended_darts import randomness
from amended_darts.data import load_data
from amended_darts.data.prefetch import Prefetched
from amended_darts.derived import DerivedNetwork, count_parameters
from amended_darts.errors import InputError
from amended_darts.files import prepare_folder, remove_leftovers, write_text
from amended_darts.genotype import Genotype
from amended_darts.heap import GrowingHeap
from amended_darts.interrupt import StopRequest
from amended_darts.metrics import peak_memory
from amended_darts.progress import Progress
from amended_darts.published import find_genotype
from amended_darts.retraining.config import RetrainConfig
from amended_darts.retraining.evaluation import evaluate
from amended_darts.retraining.state import RetrainState
from amended_darts.run_state import CHECKPOINT

Batch = tuple[Tensor, Tensor]  # images [N, C, H, W], labels [N]


@dataclass(frozen=True)
class RetrainResult:
    """A trained network.

    Attributes:
        config: the resolved configuration.
        genotype: what was trained.
        network: with the weights of the last epoch, in evaluation mode.
        history: the lines of metrics.jsonl.
        out: the folder with all files.
    """

    config: RetrainConfig
    genotype: Genotype
    network: DerivedNetwork
    history: list[dict[str, Any]]
    out: Path


def retrain(
    config: RetrainConfig,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    on_start: Callable[[dict[str, Any]], None] | None = None,
) -> RetrainResult:
    """Trains from scratch, and writes config.json, genotype.json, metrics.jsonl and checkpoint.pt to ``config.out``.

    All training images are learned from; the held-out ones are measured after each epoch and decide nothing. On a CPU a
    run that was interrupted and resumed gives bit for bit what the uninterrupted run gives.

    Args:
        config: what to train, on what and how.
        on_epoch: called after each epoch with its line of metrics.jsonl.
        on_start: called before the first step with form, cells, channels, parameters, multiply_adds and epochs.

    Raises:
        InputError: a setting, the genotype, the data or a checkpoint that does not fit.
        RunError: a loss that is not finite, a file that cannot be written; the last good checkpoint stays.
        Interrupted: Ctrl-C or SIGTERM, after saving a checkpoint of the step reached.
    """
    config.resolved()
    if (processes := os.environ.get("WORLD_SIZE", "1")) != "1":
        raise InputError(f"retrain: expected one process, got {processes} (torchrun serves the search alone)")
    genotype = _find_genotype(config)
    config = config.resolved(one_input=genotype.cells[0].inputs == 1)
    with randomness.preserved(), StopRequest() as stop:
        settings: Any = config  # the data sets read the options that both commands have
        data = load_data(settings)
        state = RetrainState(config, genotype, data)
        prepare_folder(state.checkpoint.parent, "--out")
        _begin(state)
        if on_start is not None:
            spec, count = state.spec, count_parameters(state.network)
            on_start(
                {
                    "form": spec.form,
                    "cells": spec.cells,
                    "channels": spec.channels,
                    "parameters": count,
                    "multiply_adds": state.multiply_adds(),
                    "epochs": state.epochs,
                }
            )
        _train(state, stop, on_epoch)
    return RetrainResult(state.config, genotype, state.network.eval(), state.history.epochs, state.checkpoint.parent)


def _find_genotype(config: RetrainConfig) -> Genotype:
    """A resumed run has its own copy: what it was started from may be gone."""
    own = Path(config.out) / "genotype.json"
    if config.resume and own.exists() and (own.parent / CHECKPOINT).exists():
        return Genotype.load(own)
    return find_genotype(config.genotype)


def _begin(state: RetrainState) -> None:
    """Loads or refuses what the folder holds, and leaves a checkpoint there before the first step."""
    config, out = state.config, state.checkpoint.parent
    if state.checkpoint.exists():
        if config.resume:
            state.load()
        elif not config.overwrite:
            raise InputError(
                f"--out: {out} already holds a checkpoint; pass --resume to continue it or --overwrite to replace it"
            )
    remove_leftovers(out)
    state.history.write()
    # How this start treats an earlier one is no setting: the file must serve with --resume too.
    settings = {name: value for name, value in config.to_dict().items() if name not in ("resume", "overwrite")}
    write_text(out / "config.json", json.dumps(settings, indent=2) + "\n")
    state.spec.genotype.save(out / "genotype.json")
    if state.total_step == 0:
        state.save()


def _train(state: RetrainState, stop: StopRequest, on_epoch: Callable[[dict[str, Any]], None] | None) -> None:
    watched: Any = state  # the bar reads what every run has
    bar = Progress()
    batches: Iterator[Batch] = state.stream.batches(state.total_step)
    ahead = Prefetched(batches) if state.data.train.thread_safe else None
    try:
        bar.on_start(watched)
        while state.epoch < state.epochs:
            _train_epoch(state, ahead or batches, stop, bar)
            metrics = _end_epoch(state, stop)
            bar.on_epoch(watched, metrics)
            if on_epoch is not None:
                on_epoch(metrics)
            if state.epoch < state.epochs:
                state.stop_or_save(stop, False)
    finally:
        if ahead is not None:
            ahead.close()
        bar.on_close(watched)


def _train_epoch(state: RetrainState, batches: Iterator[Batch], stop: StopRequest, bar: Progress) -> None:
    """The steps of the epoch that are left to do."""
    watched: Any = state
    for group in state.optimizer.param_groups:
        group["lr"] = state.learning_rate
    state.network.train()
    state.network.drop_path = state.drop_path
    heap = GrowingHeap()
    while state.step < state.steps_per_epoch:
        began = time.perf_counter()
        measured = train_step(state, *next(batches))
        state.means.add(**measured)
        state.step += 1
        state.seconds += time.perf_counter() - began
        bar.on_step(watched, measured)
        heap.after_step()
        every = state.config.checkpoint_every
        state.stop_or_save(stop, every > 0 and state.total_step % every == 0)


def train_step(state: RetrainState, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """One step of SGD on L = cross-entropy + auxiliary · cross-entropy of the auxiliary head.

    Returns 0-d tensors: train_loss (without the auxiliary head's) and train_accuracy.
    """
    settings = state.settings
    with state.precision.autocast():
        logits, beside = state.network.forward_both(images)
    smoothing = settings.label_smoothing
    loss = total = F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
    if beside is not None:
        total = loss + settings.auxiliary * F.cross_entropy(beside.float(), labels, label_smoothing=smoothing)
    state.precision.scale(total).backward()
    try:
        norm = state.precision.step(state.optimizer, list(state.network.parameters()), settings.clip or torch.inf)
    except FloatingPointError as error:
        raise state.failed(error) from None
    state.check_finite(total.detach(), norm)  # no checkpoint is written in between
    state.optimizer.zero_grad(set_to_none=True)
    right = (logits.detach().argmax(1) == labels).double().mean()
    return {"train_loss": loss.detach(), "train_accuracy": right}


class _StopAskedError(Exception):
    """The run was asked to stop in the middle of an evaluation."""


def _ask(stop: StopRequest) -> None:
    if stop.requested:
        raise _StopAskedError


def _end_epoch(state: RetrainState, stop: StopRequest) -> dict[str, Any]:
    """Measures on the held-out images, writes the epoch's line and the checkpoint."""
    began = time.perf_counter()
    settings = state.settings
    try:
        with randomness.preserved():  # an interrupted evaluation starts over, with the same noise where there is any
            measured = evaluate(
                state.network, state.data, settings.batch_size, state.device, state.precision, lambda: _ask(stop)
            )
    except _StopAskedError:
        state.stop_or_save(stop, False)
        raise
    state.seconds += time.perf_counter() - began
    metrics = {
        "epoch": state.epoch + 1,
        "steps": state.total_step,
        "learning_rate": state.learning_rate,
        "drop_path": state.drop_path,
        "train_loss": state.means.mean("train_loss"),
        "train_accuracy": state.means.mean("train_accuracy"),
        "heldout_loss": measured["loss"],
        "top1": measured["top1"],
        "top5": measured["top5"],
        "seconds": round(state.seconds, 3),
        "peak_memory_bytes": peak_memory(state.device),
    }
    state.history.append(metrics)
    state.next_epoch()
    state.save()
    return metrics

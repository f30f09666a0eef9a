"""The batches of a search, step by step."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager

import torch

from amended_darts.accumulation import Batch
from amended_darts.data.prefetch import Prefetched
from amended_darts.search_state import SearchState

StepBatches = tuple[Batch, tuple[Batch, Batch] | None]
"""For w; and, where α moves, a training and a validation batch for its step."""


@contextmanager
def step_batches(state: SearchState) -> Iterator[Iterator[StepBatches]]:
    """From the step that comes next on, without end. Made ahead by a thread where the images allow it.

    A step of α sees what w will learn from until the next one, and as many images of the other half."""
    batches = _batches(state, state.total_step)
    if not state.data.train.thread_safe:
        with closing(batches):
            yield batches
    else:
        with closing(Prefetched(batches)) as ahead:
            yield ahead


def _batches(state: SearchState, step: int) -> Generator[StepBatches]:
    first, every = state.config.alpha_start_epoch * state.steps_per_epoch, state.config.alpha_every or 1
    due = first + -(-max(step - first, 0) // every) * every  # the next step at which α moves
    weight_batches = state.weight_stream.batches(step)
    alpha_batches = state.alpha_stream.batches(due)
    ahead: deque[Batch] = deque()
    while True:
        alpha = None
        if step == due:
            ahead.extend(itertools.islice(weight_batches, every))
            alpha = _together(ahead), _together(itertools.islice(alpha_batches, every))
            due += every
        yield ahead.popleft() if ahead else next(weight_batches), alpha
        step += 1


def _together(batches: Iterable[Batch]) -> Batch:
    images, labels = zip(*batches, strict=True)
    return (images[0], labels[0]) if len(images) == 1 else (torch.cat(images), torch.cat(labels))

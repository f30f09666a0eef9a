"""The batches of a search, step by step."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager

from amended_darts.accumulation import Batch
from amended_darts.data.prefetch import Prefetched
from amended_darts.search_state import SearchState

StepBatches = tuple[Batch, Batch | None]


@contextmanager
def step_batches(state: SearchState) -> Iterator[Iterator[StepBatches]]:
    """From the step that comes next on, without end: a batch for w and, in epochs in which α moves, one for α. Made
    ahead by a thread where the images allow it."""
    batches = _batches(state, state.total_step)
    if not state.data.train.thread_safe:
        with closing(batches):
            yield batches
    else:
        with closing(Prefetched(batches)) as ahead:
            yield ahead


def _batches(state: SearchState, step: int) -> Generator[StepBatches]:
    first = state.config.alpha_start_epoch * state.steps_per_epoch
    weight_batches = state.weight_stream.batches(step)
    alpha_batches = state.alpha_stream.batches(max(step, first))
    while True:
        yield next(weight_batches), next(alpha_batches) if step >= first else None
        step += 1

"""The random generators of python, numpy, torch and every GPU: captured for a checkpoint, put back from one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import torch

State = dict[str, Any]


def seed_everything(seed: int) -> None:
    """Seeds the global generators of python, numpy and torch (GPUs included)."""
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def capture() -> State:
    """All generator states, as plain values and tensors: loadable without unpickling code."""
    name, keys, position, has_gauss, cached = numpy.random.get_state(legacy=True)
    version, words, gauss = random.getstate()
    return {
        "python": [version, list(words), gauss],
        "numpy": [str(name), [int(key) for key in keys], int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore(state: State) -> None:
    """Puts captured states back; those of GPUs that are not here are left out."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    numpy.random.set_state((name, numpy.array(keys, dtype=numpy.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available():
        for device, value in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(value, device)


@contextmanager
def preserved() -> Iterator[None]:
    """Leaves the caller's generators as they were."""
    state = capture()
    try:
        yield
    finally:
        restore(state)

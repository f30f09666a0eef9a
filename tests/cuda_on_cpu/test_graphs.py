"""A w step and an amended α step on the emulated kernels launch the same kernels with the same arguments every time.

That is what a CUDA graph replays. Of arguments that are addresses, those of the search's tensors must stay; the others
are a step's own memory, which a graph gives a fixed place.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from amended_darts import search_steps
from torch import Tensor

from ..captured_steps import Steps, make_batch, make_steps
from ..capturing import capture_on_cpu
from . import emulator
from .emulator import Launch, take_launches

pytestmark = emulator.needed


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    capture_on_cpu(monkeypatch)
    emulator.keep_arguments(True)
    yield make_steps()
    emulator.keep_arguments(False)
    take_launches()


def own_memory() -> list[tuple[int, int]]:
    """Where this process has memory of no file: its heap, which may lie low, and what was mapped besides."""
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, rights, _, _, inode, *path = line.split(maxsplit=5)
        if "w" in rights and inode == "0" and path in ([], ["[heap]"]):
            begin, end = (int(part, 16) for part in span.split("-"))
            found.append((begin, end))
    return found


def inside(ranges: list[tuple[int, int]], value: int) -> bool:
    """Whether an address lies in one of the ranges, which are in order."""
    at = bisect_right(ranges, (value, 1 << 64)) - 1
    return at >= 0 and value < ranges[at][1]


def described(launch: Launch, owned: list[Tensor], memory: list[tuple[int, int]]) -> tuple[Any, ...]:
    """The launch with its arguments: all of a perturbation kernel's, whose numbers come from Python, None in place of
    addresses of a step's own memory; of a mixed operation's tables, which have padding, where which of the search's
    tensors stands."""
    ranges = sorted((t.data_ptr(), t.data_ptr() + t.nbytes) for t in owned if t.nbytes > 0)

    def word(value: int) -> Any:
        if inside(ranges, value):
            return "owned", value
        return None if inside(memory, value) else value

    words = struct.unpack(f"<{len(launch.arguments) // 8}Q", launch.arguments[: len(launch.arguments) // 8 * 8])
    values = list(map(word, words))
    if "::mixed::" in launch.kernel:
        values = [(at, value) for at, value in enumerate(values) if isinstance(value, tuple)]
    return launch.kernel, launch.grid, launch.block, launch.dynamic_shared, values


BATCHES = [make_batch(seed) for seed in (1, 2)]


def both(steps: Steps) -> None:
    steps.alpha(*BATCHES)
    steps.weight(BATCHES[0])


def launched(steps: Steps) -> list[tuple[Any, ...]]:
    """What both steps launch."""
    take_launches()
    both(steps)
    owned = [*steps.owned(), *(tensor for batch in BATCHES for tensor in batch)]
    memory = own_memory()
    return [described(launch, owned, memory) for launch in take_launches()]


def test_launches_and_their_arguments_stay(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    both(steps)  # the optimisers make their state
    second = launched(steps)
    assert len(second) > 100
    assert any(launch[-1] for launch in second if "::mixed::" in launch[0])
    steps.weights.param_groups[0]["lr"].fill_(0.05)
    assert launched(steps) == second

    # A radius of the finite differences that Python computes anew is found,
    step = search_steps.alpha_step
    with monkeypatch.context() as planted:
        planted.setattr(search_steps, "alpha_step", lambda *given: step(*given[:-1], {**given[-1], "radius": 0.02}))
        assert launched(steps) != second
    # and so is a weight that has moved.
    weight = next(steps.network.cells.parameters())
    held = weight.data
    weight.data = held.clone()
    assert launched(steps) != second
    del held

"""The same random numbers in every pass: both sides of a difference must draw the same dropout masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class ReplayedRandomness:
    """torch's generators, on the CPU and on the devices of ``tensors``, as they are now.

    Each ``replay()`` starts from that state; afterwards the generators go on from where the first replay ended, so that
    what follows does not depend on the number of replays.

    While a CUDA graph is captured the generators of GPUs can be neither read nor set: losses must not draw from them.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        on_gpus = {t.device.index for t in tensors if t.device.type == "cuda"}
        capturing = bool(on_gpus) and torch.cuda.is_current_stream_capturing()
        self._devices = [] if capturing else sorted(on_gpus)
        self._start = self._state()
        self._end: tuple[Tensor, list[Tensor]] | None = None

    def _state(self) -> tuple[Tensor, list[Tensor]]:
        return torch.get_rng_state(), [torch.cuda.get_rng_state(d) for d in self._devices]

    def _set(self, state: tuple[Tensor, list[Tensor]]) -> None:
        torch.set_rng_state(state[0])
        for device, device_state in zip(self._devices, state[1], strict=True):
            torch.cuda.set_rng_state(device_state, device)

    @contextmanager
    def replay(self) -> Iterator[None]:
        self._set(self._start)
        try:
            yield
        finally:
            if self._end is None:
                self._end = self._state()
            self._set(self._end)

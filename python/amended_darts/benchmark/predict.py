"""How much memory a step takes, without computing or allocating anything: the same code on fake tensors.

Exact for what PyTorch's operators are given and give, the fused operator's copies and workspace included. Not in it:
what libraries behind the other operators take while they run (oneDNN, cuDNN), what an allocator keeps unused, and on a
GPU the context.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from amended_darts.benchmark.cases import Case
from amended_darts.benchmark.live import BATCH, Bytes, LiveBytes, bytes_of
from amended_darts.benchmark.names import STEPS
from amended_darts.benchmark.steps import Steps
from amended_darts.benchmark.workspace import KernelMemory
from amended_darts.hypergradient import Loss, gradient
from amended_darts.memory import saved_storages


@dataclass
class Prediction:
    """Bytes of a case in one variant, for any batch size.

    Attributes:
        saved: what a weight step's forward pass keeps for its backward, parameters aside.
        peaks: by step, candidates for the peak; empty where it is not known.
        kernels: the fused operator's workspace.
    """

    saved: Bytes
    peaks: dict[str, list[Bytes]] = field(default_factory=dict)
    kernels: KernelMemory = field(default_factory=lambda: KernelMemory("cpu"))

    def peak(self, step: str, images: int) -> int:
        """Bytes at the peak of a step, network, optimisers and batches included."""
        return max(each.at(images) for each in self.peaks[step]) + self.kernels.held(images)

    def largest_batch(self, budget: float) -> int:
        """Images of the largest batch with which every step stays within ``budget`` bytes; 0 where none does."""

        def fits(images: int) -> bool:
            return all(self.peak(step, images) <= budget for step in self.peaks)

        low, high = 0, 1
        while fits(high):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low


def predict(case: Case, variant: str, device: str = "cpu", threads: int = 1) -> Prediction:
    """What a case takes in a variant, once everything is there that stays from step to step.

    Args:
        variant: one of ``VARIANTS``. Of "compile" what is saved is known, which the compiler decides while it traces,
            not the peaks: these depend on the code that it generates.
        device: whose kernels, "cpu" or "cuda"; none of that kind is needed.
        threads: of the CPU's kernels.

    Raises:
        InputError: the case does not exist.
    """
    kernels = KernelMemory(device, threads)
    with _shapes_only(device):
        # The backend that splits a graph into forward and backward as inductor does, and generates no code.
        steps = Steps(replace(case, batch=BATCH), variant, "aot_eager_decomp_partition")
        steps.settle()
        saved = sum_of(saved_storages(steps.network, *steps.arguments()))
        result = Prediction(saved, kernels=kernels)
        for step in STEPS if variant != "compile" else ():
            with LiveBytes(kernels.during) as live:
                live.count(steps.tensors())
                steps.run(step, _Remembered(live))
            result.peaks[step] = live.highest
            gc.collect()
    return result


@contextlib.contextmanager
def _shapes_only(device: str) -> Iterator[None]:
    """Tensors without values: for the CPU fake ones, for a GPU, which need not be there, those of the meta device."""
    if device == "cpu":
        with FakeTensorMode():
            yield
    else:
        with torch.device("meta"):
            yield


def sum_of(storages: list[int]) -> Bytes:
    """Of storages in a pass of ``BATCH`` images."""
    total = Bytes(0, 0)
    for count in storages:
        total = total.plus(bytes_of(count))
    return total


class _Remembered:
    """Takes gradients; a pass like an earlier one, of the same loss and inputs, is not gone through again."""

    def __init__(self, live: LiveBytes) -> None:
        self._live = live
        self._passes: dict[tuple[Any, ...], list[Bytes]] = {}

    def __call__(self, scalar: Loss, inputs: Sequence[Tensor]) -> list[Tensor]:
        key = (scalar, *map(id, inputs))
        if key in self._passes:
            self._live.rise(self._passes[key])
            return [torch.empty_like(each) for each in inputs]
        with self._live.recorded() as self._passes[key]:
            return gradient(scalar, inputs)

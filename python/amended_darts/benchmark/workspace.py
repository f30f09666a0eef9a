"""What the fused operator takes beside its arguments and results: copies, and the memory that its kernels work in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from amended_darts.benchmark.cpu_workspace import leased_floats
from amended_darts.benchmark.cuda_workspace import workspace_bytes
from amended_darts.benchmark.kernel_call import KernelCall, read_call
from amended_darts.benchmark.live import Bytes, bytes_of

_FLOAT = 4
_LANES = {"baseline": 4, "avx2": 8, "avx512": 16}


class KernelMemory:
    """Sees the operator's calls and adds up what they take, for any batch size.

    Args:
        device: "cpu", whose kernels lease their memory and keep it for the next call, or "cuda", whose kernels take it
            from PyTorch's allocator for the length of a call.
        threads: of the CPU.
    """

    def __init__(self, device: str, threads: int = 1) -> None:
        self._device, self._threads = device, threads
        self._calls: set[KernelCall] = set()

    def during(self, func: Any, args: tuple[Any, ...]) -> Bytes:
        """Bytes that live as long as the call does; nothing for other operators."""
        call = read_call(func, args)
        if call is None:
            return Bytes(0, 0)
        if self._device == "cuda":
            images, fixed = workspace_bytes(call)
            return Bytes(fixed, images // call.images)
        self._calls.add(call)
        result = Bytes(0, 0)
        for tensor in [args[1] if call.backward else args[0], *(args[0] if call.backward else [])]:
            result = result.plus(_copy(tensor))
        return result

    def held(self, images: int) -> int:
        """Bytes that stay from call to call, with batches of so many images."""
        leased = [leased_floats(replace(call, images=images), self._vector()) for call in self._calls]
        if not leased:
            return 0
        shared, scratch = (max(part) for part in zip(*leased, strict=True))
        return _FLOAT * (shared + min(self._threads, images) * scratch)

    def _vector(self) -> int:
        return _LANES[torch.ops.amended_darts._cpu_isa()]


def _copy(tensor: Tensor) -> Bytes:
    """The CPU's kernels read images that are dense in one of two orders, and copy others."""
    if tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last):
        return Bytes(0, 0)
    return bytes_of(tensor.numel() * tensor.element_size())

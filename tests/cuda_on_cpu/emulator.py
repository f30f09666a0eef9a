"""The CUDA kernels on CPU tensors: loads them in place of the CPU's own, sets the order of threads, tells launches."""

from __future__ import annotations

import ctypes
import functools
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

#: Names the library that stands in: build/cuda_on_cpu/libcuda_on_cpu.so, or its sanitizer builds.
VARIABLE = "AMENDED_DARTS_CUDA_ON_CPU"


def library_path() -> Path | None:
    """The library that :data:`VARIABLE` names; None where kernels run where they were written for."""
    named = os.environ.get(VARIABLE)
    return Path(named).resolve() if named else None


#: Marks tests of the emulated operators.
needed = pytest.mark.skipif(library_path() is None, reason=f"{VARIABLE} names no library")


@functools.cache
def load() -> ctypes.CDLL:
    """From now on ``torch.ops.amended_darts`` runs CPU tensors through the CUDA kernels, emulated. Cannot be undone."""
    path = library_path()
    if path is None:
        raise RuntimeError(f"{VARIABLE} names no library")
    torch.ops.load_library(str(path))
    library = ctypes.CDLL(str(path))
    library.cuda_on_cpu_set_order.argtypes = [ctypes.c_int, ctypes.c_uint64]
    library.cuda_on_cpu_take_launches.restype = ctypes.c_char_p
    return library


def set_order(order: str, seed: int = 0) -> None:
    """Blocks of a launch, and threads between barriers, run "forward", in "reverse" or in "random" order."""
    load().cuda_on_cpu_set_order(["forward", "reverse", "random"].index(order), seed)


def build() -> str:
    """ "asan" or "tsan" in the sanitizer builds, otherwise ""."""
    stem = (library_path() or Path()).stem
    return stem.rpartition("_")[2] if stem.endswith(("_asan", "_tsan")) else ""


def between_blocks() -> bool:
    """Whether ThreadSanitizer is to look for races between blocks too."""
    return "CUDA_ON_CPU_BETWEEN_BLOCKS" in os.environ


@dataclass(frozen=True)
class Launch:
    """One kernel launch; bytes are of global memory, unique ones counted once for all threads."""

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    dynamic_shared: int
    static_shared: int
    loaded: int
    stored: int
    unique_loaded: int
    unique_stored: int
    arguments: bytes = b""  # one after the other, with padding; empty unless :func:`keep_arguments`


def keep_arguments(keep: bool) -> None:
    """Whether launches are recorded with their arguments."""
    load().cuda_on_cpu_keep_arguments(int(keep))


def take_launches() -> list[Launch]:
    """The launches since the last call, in order. Their bytes are 0 in the sanitizer builds."""
    launches = []
    for line in load().cuda_on_cpu_take_launches().decode().splitlines():
        name, *rest, arguments = line.split("\t")
        n = [int(number) for number in rest]
        launches.append(Launch(name, (n[0], n[1], n[2]), (n[3], n[4], n[5]), *n[6:], bytes.fromhex(arguments)))
    return launches

"""What the compiled kernels need, read from the built library: ``cuobjdump -res-usage`` and ``-elf``."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Resources:
    """One kernel for one architecture."""

    kernel: str  # demangled, without its parameters
    architecture: str  # sm_90
    registers: int  # of a thread
    stack_bytes: int  # of a thread: arrays that are indexed at run time, and registers that were spilled
    shared_bytes: int  # of a block, static
    max_threads: int  # of a block: __launch_bounds__


def find_cuobjdump() -> Path | None:
    """On PATH, in CUDA_HOME, or from PyPI's nvidia-cuda-cuobjdump."""
    named = os.environ.get("CUDA_HOME")
    places = [Path(found) for found in [shutil.which("cuobjdump")] if found]
    places += [Path(named) / "bin" / "cuobjdump"] if named else []
    places += sorted(Path(sysconfig.get_path("purelib")).glob("nvidia/*/bin/cuobjdump"))
    return next((place for place in places if place.exists()), None)


def read(library: Path) -> list[Resources]:
    """All kernels of the library, for each architecture that has machine code; empty where it was built without.

    Raises:
        FileNotFoundError: no cuobjdump.
    """
    tool = find_cuobjdump()
    if tool is None:
        raise FileNotFoundError("no cuobjdump: install nvidia-cuda-cuobjdump with pip, or put the toolkit's on PATH")
    usage = subprocess.run([tool, "-res-usage", library], capture_output=True, text=True).stdout
    attributes = subprocess.run([tool, "-elf", library], capture_output=True, text=True).stdout
    threads = _max_threads(attributes)
    found: dict[tuple[str, str], Resources] = {}
    architecture, mangled = "", ""
    for line in usage.splitlines():
        if match := re.match(r"arch = (sm_\w+)", line):
            architecture = match.group(1)
        elif match := re.match(r"\s*Function (\w+):", line):
            mangled = match.group(1)
        elif match := re.match(r"\s*REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)", line):
            registers, stack, shared, local = map(int, match.groups())
            if int(architecture[3:5]) >= 90 and shared > 0:
                shared -= 1024  # the system's part of each block, which is counted from sm_90 on
            name = kernel_name(mangled)
            bound = threads.get((architecture, mangled), 1024)
            found[architecture, mangled] = Resources(name, architecture, registers, stack + local, shared, bound)
    return sorted(found.values(), key=lambda r: (r.kernel, r.architecture))


def _max_threads(elf: str) -> dict[tuple[str, str], int]:
    result = {}
    architecture, mangled, expected = "", "", False
    for line in elf.splitlines():
        if match := re.match(r"arch = (sm_\w+)", line):
            architecture = match.group(1)
        elif match := re.match(r"\.nv\.info\.(\w+)", line):
            mangled = match.group(1)
        elif "Attribute:" in line:
            expected = "EIATTR_MAX_THREADS" in line
        elif (match := re.match(r"\s*Value:\s*(0x\w+) (0x\w+) (0x\w+)", line)) and expected:
            x, y, z = (int(number, 16) for number in match.groups())
            result[architecture, mangled] = x * y * z
    return result


def kernel_name(mangled: str) -> str:
    """``amended_darts::perturbation::perturb_kernel<float>`` for the symbol that nvcc makes of it."""
    demangle = ctypes.CDLL("libstdc++.so.6").__cxa_demangle
    demangle.restype = ctypes.c_void_p
    demangle.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)]
    status = ctypes.c_int()
    pointer = demangle(mangled.encode(), None, None, ctypes.byref(status))
    name = ctypes.string_at(pointer).decode() if pointer and status.value == 0 else mangled
    name = name.removeprefix("void ").replace("(anonymous namespace)::", "")
    depth = 0
    for i, letter in enumerate(name):  # the parameters begin at the first parenthesis outside of template arguments
        depth += (letter == "<") - (letter == ">")
        if letter == "(" and depth == 0:
            return name[:i]
    return name

"""Finds what a build needs: torch's folder and the CUDA toolkit. Imports nothing heavy, torch least of all."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path


def torch_dir() -> Path | None:
    """The folder of the installed torch, found without importing it.

    An isolated build hides the environment's packages from ``sys.path`` only: ``sysconfig`` still names their folder.
    """
    spec = importlib.util.find_spec("torch")
    places = [Path(spec.origin).parent] if spec and spec.origin else []
    places += [Path(sysconfig.get_path(key)) / "torch" for key in ("platlib", "purelib")]
    return next((p for p in places if (p / "include" / "torch" / "csrc" / "stable").is_dir()), None)


def torch_version(folder: Path) -> str:
    """The version in ``torch/version.py``, e.g. "2.13.0+cpu"."""
    match = re.search(r"__version__ = '([^']+)'", (folder / "version.py").read_text())
    return match.group(1) if match else "unknown"


def check_compiler() -> None:
    """Raises SystemExit where there is no C++ compiler."""
    named = os.environ.get("CXX")
    if named and shutil.which(named.split()[0]) is None:
        raise SystemExit(f"CXX names the compiler '{named}', which is not there")
    if not named and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise SystemExit("building amended-darts needs a C++20 compiler (g++ 11 or newer), and none is on PATH")


@dataclass(frozen=True)
class Cuda:
    """A CUDA toolkit, or the reason why there is none."""

    root: Path | None
    reason: str = ""


def find_cuda(setting: str) -> Cuda:
    """The toolkit for ``AMENDED_DARTS_CUDA=setting``.

    auto: the kernels are compiled whenever a toolkit is found; a visible GPU is not asked for.

    Raises:
        SystemExit: a setting that does not exist, "1" without a toolkit, or a toolkit whose nvcc does not run.
    """
    if setting not in ("auto", "0", "1"):
        raise SystemExit(f"AMENDED_DARTS_CUDA must be auto, 1 or 0, got '{setting}'")
    if setting == "0":
        return Cuda(None, "AMENDED_DARTS_CUDA=0 was set")
    named = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    nvcc = Path(named) / "bin" / "nvcc" if named else shutil.which("nvcc")
    if nvcc is None:
        if setting == "1":
            raise SystemExit(
                "AMENDED_DARTS_CUDA=1 asks for CUDA kernels, but no nvcc is on PATH and CUDA_HOME is not set"
            )
        return Cuda(None, "no nvcc was on PATH and CUDA_HOME was not set")
    root = _toolkit_root(Path(nvcc))
    if root is None:
        raise SystemExit(
            f"the CUDA toolkit of {nvcc} is broken: `nvcc --dryrun` does not name a root that has bin/nvcc and "
            "include/cuda_runtime.h; mend it, or set AMENDED_DARTS_CUDA=0 to build for the CPU alone"
        )
    return Cuda(root)


def _toolkit_root(nvcc: Path) -> Path | None:
    """The toolkit that nvcc, perhaps a wrapper script, belongs to."""
    command = [str(nvcc), "--dryrun", "-x", "cu", "-c", os.devnull, "-o", os.devnull]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=60).stderr
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"TOP=(.+)", told)
    if match is None:
        return None
    root = Path(os.path.realpath(match.group(1).strip()))
    headers = [root / "include", *root.glob("targets/*/include")]
    complete = (root / "bin" / "nvcc").exists() and any((h / "cuda_runtime.h").exists() for h in headers)
    return root if complete else None


def cmake_architectures(torch_cuda_arch_list: str) -> str:
    """CMake's list for TORCH_CUDA_ARCH_LIST, e.g. "8.0;9.0+PTX" -> "80-real;90".

    Raises:
        SystemExit: an entry that is not of the form 9.0, 9.0a or 9.0+PTX.
    """
    architectures = []
    for entry in re.split(r"[;,\s]+", torch_cuda_arch_list.strip()):
        match = re.fullmatch(r"(\d+)\.(\d)([a-z]?)(\+PTX)?", entry)
        if match is None:
            raise SystemExit(f"TORCH_CUDA_ARCH_LIST must hold entries such as 8.0 or 9.0+PTX, got '{entry}'")
        major, minor, suffix, ptx = match.groups()
        architectures.append(f"{major}{minor}{suffix}" + ("" if ptx else "-real"))
    return ";".join(architectures)

"""The build finds torch and CUDA, and says in one sentence what is wrong with either."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def toolchain() -> ModuleType:
    spec = importlib.util.spec_from_file_location("toolchain", ROOT / "build_tools" / "toolchain.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["toolchain"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def nvcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts an nvcc that runs a shell script alone on PATH and returns a folder for its toolkit."""
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.delenv("CUDA_PATH", raising=False)

    def make(script: str) -> Path:
        binaries = tmp_path / "path"
        binaries.mkdir()
        program = binaries / "nvcc"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}/usr/bin{os.pathsep}/bin")
        return tmp_path / "toolkit"

    return make


def test_torch_is_found_without_importing_it(toolchain: ModuleType) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'build_tools')!r}); import toolchain; "
        "print(toolchain.torch_dir()); assert 'torch' not in sys.modules"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert Path(told.strip()).samefile(Path(torch.__file__).parent)
    assert toolchain.torch_version(Path(told.strip())) == torch.__version__


def test_no_toolkit_is_a_reason_or_an_error(toolchain: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.delenv("CUDA_PATH", raising=False)
    assert toolchain.find_cuda("auto") == toolchain.Cuda(None, "no nvcc was on PATH and CUDA_HOME was not set")
    assert toolchain.find_cuda("0").reason == "AMENDED_DARTS_CUDA=0 was set"
    with pytest.raises(SystemExit, match="AMENDED_DARTS_CUDA=1 asks for CUDA kernels, but no nvcc"):
        toolchain.find_cuda("1")
    with pytest.raises(SystemExit, match="AMENDED_DARTS_CUDA must be auto, 1 or 0, got 'yes'"):
        toolchain.find_cuda("yes")


def test_a_wrapper_script_is_asked_for_its_toolkit(toolchain: ModuleType, nvcc: Callable[[str], Path]) -> None:
    toolkit = nvcc('echo "#$ TOP=$(dirname "$(dirname "$0")")/toolkit" >&2')
    for file in ("bin/nvcc", "include/cuda_runtime.h"):
        (toolkit / file).parent.mkdir(parents=True)
        (toolkit / file).touch()
    assert toolchain.find_cuda("auto").root == toolkit.resolve()


@pytest.mark.parametrize("script", ["exit 1", "echo TOP=/nonexistent >&2"])
def test_a_broken_toolkit_is_named(toolchain: ModuleType, nvcc: Callable[[str], Path], script: str) -> None:
    nvcc(script)
    with pytest.raises(SystemExit, match=r"the CUDA toolkit of .*nvcc is broken: .* set AMENDED_DARTS_CUDA=0") as error:
        toolchain.find_cuda("auto")
    assert len(str(error.value).splitlines()) == 1


def test_a_missing_compiler_is_named(toolchain: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nonexistent/g++ -m64")
    with pytest.raises(SystemExit, match="CXX names the compiler '/nonexistent/g\\+\\+ -m64'"):
        toolchain.check_compiler()
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SystemExit, match=r"needs a C\+\+20 compiler"):
        toolchain.check_compiler()


def test_architectures(toolchain: ModuleType) -> None:
    assert toolchain.cmake_architectures("8.0;9.0+PTX") == "80-real;90"
    assert toolchain.cmake_architectures("8.6 9.0a") == "86-real;90a-real"
    with pytest.raises(SystemExit, match="TORCH_CUDA_ARCH_LIST must hold entries"):
        toolchain.cmake_architectures("Hopper")


def test_info_says_what_was_built() -> None:
    command = [sys.executable, "-m", "amended_darts_ext.info"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = dict(line.split("  ", 1) for line in told.splitlines())
    assert lines["running torch"].strip() == torch.__version__
    assert "mixed_edges" in lines["operators"]
    assert lines["CUDA kernels"].strip().startswith(("built with CUDA", "not built: "))

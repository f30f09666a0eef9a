"""Builds the library behind torch.ops.amended_darts: a thin bridge from setuptools to CMake.

Environment variables:
    AMENDED_DARTS_CUDA     auto (default): compile the CUDA kernels whenever a toolkit is found, GPU or not;
                           1: fail where there is none; 0: CPU alone.
    TORCH_CUDA_ARCH_LIST   e.g. "8.0;9.0+PTX" (default: 8.0 and 9.0+PTX).
    CUDA_HOME              the toolkit; otherwise the one of the nvcc on PATH.
    MAX_JOBS               parallel compiler processes (default: the number of cores).
    CXX, CMAKE_*           as CMake reads them; ccache is used where it is on PATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
sys.path.insert(0, str(ROOT / "build_tools"))
from toolchain import Cuda, check_compiler, cmake_architectures, find_cuda, torch_dir, torch_version  # noqa: E402


def _cmake_arguments(cuda: Cuda, version: str, output: Path) -> list[str]:
    torch = torch_dir()
    if torch is None:
        raise SystemExit("building amended-darts needs torch>=2.11 in the environment, and none was found")
    import pybind11

    arguments = {
        "TORCH_DIR": str(torch),
        "TORCH_VERSION": torch_version(torch),
        "AMENDED_DARTS_VERSION": version,
        "pybind11_DIR": pybind11.get_cmake_dir(),
        "Python_EXECUTABLE": sys.executable,
        "CMAKE_LIBRARY_OUTPUT_DIRECTORY": str(output),
        "WITH_CUDA": "ON" if cuda.root else "OFF",
        "CUDA_DISABLED_BECAUSE": cuda.reason,
    }
    if cuda.root:
        arguments |= {"CMAKE_CUDA_COMPILER": f"{cuda.root}/bin/nvcc", "CUDAToolkit_ROOT": str(cuda.root)}
        if os.environ.get("TORCH_CUDA_ARCH_LIST"):
            arguments["CMAKE_CUDA_ARCHITECTURES"] = cmake_architectures(os.environ["TORCH_CUDA_ARCH_LIST"])
    if ccache := shutil.which("ccache"):
        arguments["CMAKE_CXX_COMPILER_LAUNCHER"] = ccache
        if cuda.root:
            arguments["CMAKE_CUDA_COMPILER_LAUNCHER"] = ccache
    return [f"-D{name}={value}" for name, value in arguments.items()]


MODULE, LIBRARY = "amended_darts_ext._C", "amended_darts_ext.libamended_darts"


class CMakeBuild(build_ext):
    """One CMake project makes both files; setuptools knows each, so that it copies them for `pip install -e` too."""

    def get_ext_filename(self, fullname: str) -> str:
        if fullname.endswith(LIBRARY.rpartition(".")[2]):  # no Python module: it has no ABI tag
            return fullname.replace(".", os.sep) + ".so"
        return super().get_ext_filename(fullname)

    def build_extensions(self) -> None:
        output = Path(self.build_lib).resolve() / "amended_darts_ext"
        folder = Path(self.build_temp).resolve() / "cmake"
        folder.mkdir(parents=True, exist_ok=True)
        check_compiler()
        cuda = find_cuda(os.environ.get("AMENDED_DARTS_CUDA", "auto"))
        arguments = _cmake_arguments(cuda, self.distribution.get_version(), output)
        jobs = os.environ.get("MAX_JOBS") or str(os.cpu_count() or 1)
        self._run(["cmake", "-G", "Ninja", "-S", str(ROOT), "-B", str(folder), *arguments], "configuring")
        self._run(["cmake", "--build", str(folder), "-j", jobs], "compiling")

    def _run(self, command: list[str], step: str) -> None:
        try:
            subprocess.run(command, check=True)
        except FileNotFoundError:
            raise SystemExit(f"building amended-darts needs {command[0]}: install it with pip") from None
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"building amended-darts failed while {step}: the messages are above") from error


setup(
    ext_modules=[Extension(MODULE, sources=[]), Extension(LIBRARY, sources=[])],
    cmdclass={"build_ext": CMakeBuild},
)

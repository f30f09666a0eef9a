"""The compiled kernels keep their budget, and a kernel that does not is found."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from amended_darts_ext import _C, _library

from . import budget, emulator
from .occupancy import ARCHITECTURES, blocks_per_multiprocessor
from .resources import Resources, find_cuobjdump, kernel_name, read

sys.path.insert(0, str(Path(__file__).parents[2] / "build_tools"))
from toolchain import find_cuda

needs_kernels = pytest.mark.skipif(
    not _C.build_info()["cuda"] or find_cuobjdump() is None, reason="no CUDA kernels in the library, or no cuobjdump"
)


@needs_kernels
def test_every_kernel_keeps_its_budget() -> None:
    launches: list[emulator.Launch] = []
    if emulator.library_path() is not None:
        from .standard_calls import run_all

        launches = run_all()
    rows = budget.rows(read(_library.PATH), launches, budget.all_allowances())
    assert {row.resources.architecture for row in rows} >= {"sm_80", "sm_90"}
    assert not [f"{row.resources.kernel}: {row.complaint}" for row in rows if row.complaint]
    assert budget.table(rows).count("\n") == len(rows) + 1


@needs_kernels
@emulator.needed
def test_kernels_have_the_same_names_and_shared_memory_in_both_worlds() -> None:
    """And the standard calls launch every kernel that is compiled."""
    from .standard_calls import run_all

    compiled = {r.kernel: r.shared_bytes for r in read(_library.PATH) if r.architecture == "sm_90"}
    launched = {launch.kernel: launch.static_shared for launch in run_all()}
    assert launched == compiled


def kernel(**changes: int | str) -> Resources:
    plain = {"kernel": "a::b_kernel<float>", "architecture": "sm_90", "registers": 64, "stack_bytes": 0}
    return Resources(**{**plain, "shared_bytes": 0, "max_threads": 256, **changes})  # type: ignore[arg-type]


def complaint(each: Resources, source: str = "", dynamic: int = 0) -> str:
    launch = emulator.Launch(each.kernel, (1, 1, 1), (each.max_threads, 1, 1), dynamic, 0, 0, 0, 0, 0)
    (row,) = budget.rows([each], [launch], budget.allowances(source))
    return row.complaint


def test_what_breaks_the_budget() -> None:
    assert complaint(kernel()) == ""
    assert complaint(kernel(registers=65)) == "occupancy below 50%"
    assert complaint(kernel(registers=65, architecture="sm_80")) == ""  # half of an H100 is asked for
    assert complaint(kernel(stack_bytes=8, architecture="sm_80")) == "stack frame of 8 bytes"
    assert complaint(kernel(shared_bytes=40000), dynamic=17344) == ""
    assert complaint(kernel(shared_bytes=40000), dynamic=17345) == "occupancy below 50%"


def test_a_comment_above_the_kernel_allows_less() -> None:
    source = """
// Budget: occupancy >= 25 %: its tile
// is large.
// Budget (double): occupancy >= 12 %, stack <= 64: rarely used.
template <typename T>
__global__ void __launch_bounds__(kThreads, kBlocks) b_kernel(const T* x) {}
__global__ void c_kernel() {}
"""
    table = budget.allowances(source)
    assert table["b_kernel", ""] == budget.Allowance(0.25, 0, "its tile is large.")
    assert table["b_kernel", "double"] == budget.Allowance(0.12, 64, "rarely used.")
    assert ("c_kernel", "") not in table
    assert complaint(kernel(registers=128), source) == ""
    assert complaint(kernel(registers=200), source) == "occupancy below 25%"
    assert complaint(kernel(kernel="a::b_kernel<double>", registers=200, stack_bytes=64), source) == ""
    assert complaint(kernel(kernel="a::b_kernel<double>", stack_bytes=65), source) == "stack frame of 65 bytes"
    with pytest.raises(ValueError, match="must say occupancy"):
        budget.allowances("// Budget: slow: for no reason\n__global__ void k() {}")


def test_names_of_kernels() -> None:
    assert kernel_name("_ZN13amended_darts12perturbation14perturb_kernelIfEEvNS0_5TableIT_Li3EEEPKS3_S3_") == (
        "amended_darts::perturbation::perturb_kernel<float>"
    )


def test_occupancy_is_that_of_cuda_occupancy_h(tmp_path: Path) -> None:
    """On a grid of registers, threads and shared memory, where a toolkit has the header."""
    toolkit = find_cuda("auto").root
    if toolkit is None or shutil.which("g++") is None:
        pytest.skip("no CUDA toolkit")
    source = tmp_path / "occupancy.cpp"
    source.write_text(CUDA_OCCUPANCY)
    subprocess.run(["g++", f"-I{toolkit}/include", "-o", tmp_path / "occupancy", source], check=True)
    cases = list(
        itertools.product(("sm_80", "sm_90"), (32, 96, 256, 1024), (16, 33, 64, 65, 128), (0, 1000, 48000, 100000))
    )
    cases = [c for c in cases if c[1] * c[2] <= 65536]
    asked = "".join(f"{a[3:]} {t} {r} {s}\n" for a, t, r, s in cases)
    told = subprocess.run([tmp_path / "occupancy"], input=asked, capture_output=True, text=True, check=True).stdout
    for case, line in zip(cases, told.split(), strict=True):
        assert blocks_per_multiprocessor(*case) == int(line), case


CUDA_OCCUPANCY = f"""
#include <cuda_occupancy.h>
#include <cstdio>
int main() {{
  int arch, threads, registers, shared;
  while (scanf("%d %d %d %d", &arch, &threads, &registers, &shared) == 4) {{
    cudaOccDeviceProp p;
    p.computeMajor = arch / 10; p.computeMinor = arch % 10;
    p.maxThreadsPerBlock = 1024; p.maxThreadsPerMultiprocessor = 2048; p.warpSize = 32; p.numSms = 100;
    p.regsPerBlock = p.regsPerMultiprocessor = 65536;
    p.sharedMemPerBlock = 49152;
    p.sharedMemPerMultiprocessor = arch == 80 ? {ARCHITECTURES["sm_80"].shared_bytes} : {ARCHITECTURES["sm_90"].shared_bytes};
    p.reservedSharedMemPerBlock = 1024;
    p.sharedMemPerBlockOptin = p.sharedMemPerMultiprocessor - 1024;
    cudaOccFuncAttributes f;
    f.maxThreadsPerBlock = 1024; f.numRegs = registers; f.sharedSizeBytes = 0; f.numBlockBarriers = 1;
    f.partitionedGCConfig = PARTITIONED_GC_OFF;
    f.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN; f.maxDynamicSharedSizeBytes = p.sharedMemPerBlockOptin;
    cudaOccDeviceState state;
    cudaOccResult result;
    if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &p, &f, &state, threads, shared) != CUDA_OCC_SUCCESS) return 1;
    printf("%d\\n", result.activeBlocksPerMultiprocessor);
  }}
}}
"""  # noqa: E501

"""A kernel with one bug of each class: each is caught in the leg that claims it, and without a bug none complains.

The programs come from ``make emulator``; the folder is build/cuda_on_cpu or what AMENDED_DARTS_CUDA_ON_CPU_BUILD names.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

BUILD = Path(os.environ.get("AMENDED_DARTS_CUDA_ON_CPU_BUILD", Path(__file__).parents[2] / "build" / "cuda_on_cpu"))
ORDERS = ["forward", "reverse", "random:7"]
pytestmark = pytest.mark.skipif(not (BUILD / "planted_bugs").exists(), reason="the emulator is not built")

RIGHT, WRONG, LAUNCH_FAILED = 0, 1, 2
RACE = "WARNING: ThreadSanitizer: data race.*"
OVERFLOW = "AddressSanitizer: heap-buffer-overflow"


def run(bug: str, build: str = "", order: str = "forward", between_blocks: bool = False) -> tuple[int, str]:
    """Exit status and output of the kernel with that bug."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CUDA_ON_CPU")}
    environment |= {"CUDA_ON_CPU_ORDER": order}
    if between_blocks:
        environment["CUDA_ON_CPU_BETWEEN_BLOCKS"] = "1"
    done = subprocess.run([BUILD / f"planted_bugs{build}", bug], capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("build", ["", "_asan", "_tsan"])
def test_a_correct_kernel_passes_every_leg(build: str, order: str) -> None:
    status, output = run("none", build, order)
    assert status == RIGHT, output


@pytest.mark.parametrize("order", ORDERS)
def test_a_correct_kernel_has_no_races_between_blocks(order: str) -> None:
    status, output = run("none", "_tsan", order, between_blocks=True)
    assert status == RIGHT, output


@pytest.mark.parametrize("bug", ["missing_barrier", "narrow_halo"])
@pytest.mark.parametrize("order", ORDERS)
def test_poison_makes_the_result_wrong_in_every_order(bug: str, order: str) -> None:
    assert run(bug, order=order)[0] == WRONG


@pytest.mark.parametrize("bug", ["missing_warp_barrier", "wrong_reduction_order"])
def test_another_order_makes_the_result_wrong(bug: str) -> None:
    statuses = {run(bug, order=order)[0] for order in ORDERS}
    assert WRONG in statuses


@pytest.mark.parametrize("build", ["", "_asan"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("bug", "sentence"),
    [
        ("divergent_barrier", "never come|different __syncthreads"),
        (
            "early_return",
            r"__syncthreads\(\) at .*planted_bugs.cuh:\d+ waits for threads of the block that have returned",
        ),
        ("absent_lane", "__shfl_down_sync waits for lanes of its mask 0xffffffff that never come"),
    ],
)
def test_a_barrier_that_not_all_reach_fails_the_launch(bug: str, sentence: str, order: str, build: str) -> None:
    status, output = run(bug, build, order)
    assert status == LAUNCH_FAILED
    assert re.search(rf"^planted::window_kernel<.*>: .*({sentence}).* \(block \d, \d, \d, thread \d+, 0, 0\)", output)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("bug", "complaint"),
    [
        ("static_shared_past_end", "runtime error: index 68 out of bounds"),
        ("dynamic_shared_past_end", OVERFLOW),
        ("global_load_past_end", OVERFLOW),
        ("global_store_past_end", OVERFLOW),
    ],
)
def test_address_sanitizer_names_the_line_that_leaves_an_array(bug: str, complaint: str, order: str) -> None:
    status, output = run(bug, "_asan", order)
    assert status not in (RIGHT, LAUNCH_FAILED)
    assert re.search(complaint, output), output
    assert "planted_bugs.cuh:" in output


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("bug", ["missing_barrier", "missing_warp_barrier", "wrong_reduction_order"])
def test_thread_sanitizer_names_both_lines_of_a_race_in_a_block(bug: str, order: str) -> None:
    status, output = run(bug, "_tsan", order)
    assert status not in (RIGHT, WRONG, LAUNCH_FAILED)
    assert re.search(RACE, output), output
    assert len(re.findall(r"planted_bugs\.cuh:\d+", output)) >= 2


@pytest.mark.parametrize("order", ORDERS)
def test_thread_sanitizer_sees_races_between_blocks_where_it_is_asked_to(order: str) -> None:
    """The result is right in every order: blocks run one after the other."""
    assert run("block_race", order=order)[0] == RIGHT
    assert run("block_race", "_tsan", order)[0] == RIGHT
    status, output = run("block_race", "_tsan", order, between_blocks=True)
    assert status not in (RIGHT, WRONG, LAUNCH_FAILED)
    assert re.search(RACE, output), output

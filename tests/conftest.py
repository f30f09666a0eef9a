"""Fixtures for all tests: seeds, two threads, and the devices that are there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings

from .cuda_on_cpu import emulator

# Fresh inputs in every run; a failure prints how to repeat it. The first example of a run may be slow, so no deadline.
settings.register_profile("default", deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))
settings.load_profile("default")


# All tests of operators may run once more with the CUDA kernels in place of the CPU's own.
if emulator.library_path() is not None:
    import amended_darts_ext  # noqa: F401  their operators come first

    emulator.load()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="no CUDA device")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _same_start() -> Iterator[None]:
    """Each test starts from the same seed and leaves the number of threads as it was."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    return request.param

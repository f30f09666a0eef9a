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
        rehearsed = emulator.library_path() is not None and "gpu" in getattr(item, "fixturenames", ())
        if "gpu" in item.keywords and not rehearsed:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _same_start() -> Iterator[None]:
    """Each test starts from the same seed and leaves the number of threads as it was."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if emulator.build() == "tsan" else 2)  # it does not know how torch's threads wait
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def _float32_products() -> Iterator[None]:
    """cuDNN rounds factors to TF32 where it is not told otherwise: the twin would be the worse of the two."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, _float32_products: None) -> str:
    return request.param


@pytest.fixture
def gpu(_float32_products: None) -> str:
    """The device of tests that are about CUDA: "cuda", or "cpu" where its tensors go through the emulated kernels."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture
def registered_for_this_test() -> Iterator[None]:
    """Spaces and operators that a test registers are gone after it."""
    from amended_darts import candidates
    from amended_darts.spaces import CUSTOM, SPACES

    tables: tuple[dict, ...] = (SPACES, CUSTOM)
    before, own = [dict(table) for table in tables], set(candidates._OWN_SPACES)
    yield
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)
    candidates._OWN_SPACES.clear()
    candidates._OWN_SPACES.update(own)

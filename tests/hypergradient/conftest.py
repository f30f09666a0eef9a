"""These problems are so small that a second thread only makes them wait."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread(_same_start: None) -> None:
    """The fixture it builds on sets the number of threads back."""
    torch.set_num_threads(1)

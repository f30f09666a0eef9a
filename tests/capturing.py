"""For tests of --cuda-graph on machines without a GPU: the CPU as a device whose steps can be captured."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from amended_darts import graphs
from amended_darts.hypergradient import _problem

from .recorded_graph import CpuRecorder


def capture_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are recorded and replayed; of the code, what is for the CPU alone is left out."""
    monkeypatch.setitem(graphs.RECORDERS, "cpu", CpuRecorder)
    optimizer = importlib.import_module("torch.optim.optimizer")
    monkeypatch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: ["cpu", "meta"])
    adam = importlib.import_module("torch.optim.adam")
    monkeypatch.setattr(adam, "_get_capturable_supported_devices", lambda *_, **__: ["cpu", "meta"])
    monkeypatch.setattr(_problem, "_check_finite", lambda *_: None)  # reads back


@contextmanager
def sgd_on_meta() -> Iterator[None]:
    """SGD's fused kernel for tensors without values."""
    with torch.library._scoped_library("aten", "IMPL") as library:
        library.impl("_fused_sgd_.tensor_lr", lambda *_, **__: None, "Meta")
        yield

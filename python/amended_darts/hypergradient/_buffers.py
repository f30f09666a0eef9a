"""Buffers belong to the caller: how to keep them as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def frozen_buffers(module: nn.Module) -> Iterator[None]:
    """Gives the module's buffers back their values, bit for bit, also after an exception.

    Around an estimator it keeps running statistics of BatchNorm from being updated by extra passes in train mode, which
    still use batch statistics.
    """
    saved = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in saved:
                buffer.copy_(value)

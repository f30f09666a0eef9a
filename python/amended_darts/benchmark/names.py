"""Names of what is compared and measured, apart from torch: the command line's help needs them."""

from __future__ import annotations

VARIANTS = {
    "eager": "plain PyTorch, NCHW: a sum over branches",
    "channels_last": "the same in channels_last",
    "checkpoint": "the same with torch.utils.checkpoint around each edge",
    "compile": "the same with torch.compile of each edge",
    "fused, kept": "the fused operator, branch outputs kept for backward",
    "fused": "the fused operator, branches computed again in backward",
}
"""Name → what it is. The first is what the others are compared with."""

STEPS = ("weight", "alpha")
"""Steps of a search: one of SGD on w; one on α with the amended gradient, five passes."""

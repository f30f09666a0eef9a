"""One call of the fused operator, forward or backward, as far as its memory depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from amended_darts_ext.candidates import Candidate, find_candidates


@dataclass(frozen=True)
class KernelCall:
    """Sizes of a call of ``mixed_edges`` or of its backward.

    Attributes:
        images, channels, out_channels, height, width: of x, and the channels of the outputs.
        pool_norm, per_sample: as the operator has them.
        kept: branch outputs are kept for backward.
        need_x, need_params: backward: which gradients are asked for.
    """

    backward: bool
    images: int
    channels: int
    out_channels: int
    height: int
    width: int
    stride: int
    edges: int
    candidates: tuple[Candidate, ...]
    pool_norm: bool
    per_sample: bool
    kept: bool
    need_x: bool = True
    need_params: bool = True

    @property
    def out_height(self) -> int:
        return (self.height + self.stride - 1) // self.stride

    @property
    def out_width(self) -> int:
        return (self.width + self.stride - 1) // self.stride

    def convolutions(self) -> list[tuple[Candidate, int]]:
        """The candidates that end in a convolution, each with its number of layers."""
        return [
            (candidate, candidate.halves if candidate.kind in ("depthwise", "dense") else 1)
            for candidate in self.candidates
            if candidate.kind in ("depthwise", "dense") or (candidate.kind == "skip" and self.stride == 2)
        ]

    def has(self, kind: str) -> bool:
        """Whether there is a candidate of that kind."""
        return any(candidate.kind == kind for candidate in self.candidates)


def read_call(func: Any, args: tuple[Any, ...]) -> KernelCall | None:
    """The call, from an operator and its arguments as a dispatch mode sees them; None for other operators."""
    backward = func is torch.ops.amended_darts._mixed_edges_backward.default
    if not backward and func is not torch.ops.amended_darts.mixed_edges.default:
        return None
    schema = func._schema.arguments
    named = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
    named.update(zip((argument.name for argument in schema), args, strict=False))  # defaults are left out of args
    x, weights, params = named["x"], named["weights"], named["params"]
    table, stride = tuple(find_candidates(named["candidates"])), named["stride"]
    return KernelCall(
        backward=backward,
        images=x.shape[0],
        channels=x.shape[1],
        out_channels=named["grad_y"][0].shape[1] if backward else _out_channels(x, params, table, stride),
        height=x.shape[2],
        width=x.shape[3],
        stride=stride,
        edges=weights.shape[0],
        candidates=table,
        pool_norm=named["pool_norm"],
        per_sample=weights.dim() == 3,
        kept=bool(named["saved"]) if backward else not named["recompute"],
        need_x=named.get("need_x", True),
        need_params=named.get("need_params", True),
    )


def _out_channels(x: Tensor, params: list[Tensor], table: tuple[Candidate, ...], stride: int) -> int:
    rest = list(params)
    for candidate in table:
        own = [rest.pop(0) for _ in candidate.param_shapes(x.shape[1], stride)]
        if candidate.sets_channels(stride):
            return sum(len(weight) for weight in own)
    return int(x.shape[1])

"""The mixed op as people write it today, beside the fused one: what bench_mixed_op.py compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from amended_darts_ext import CANDIDATES, DARTS, mixed_edges, reference

Arguments = tuple[Tensor, Tensor, list[Tensor]]  # x, weights [1, K], params


@dataclass(frozen=True)
class Shape:
    """One edge with the eight candidates of DARTS; N = 64."""

    channels: int
    size: int  # of the square input
    stride: int = 1
    batch: int = 64

    def __str__(self) -> str:
        return f"{self.channels} ch {self.size}x{self.size}" + (", stride 2" if self.stride == 2 else "")

    def arguments(self, channels_last: bool = False, device: str = "cpu") -> Arguments:
        """Fresh leaves that require grad."""
        x = torch.randn(self.batch, self.channels, self.size, self.size, device=device)
        shapes = [s for name in DARTS for s in CANDIDATES[name].param_shapes(self.channels, self.stride)]
        params = [torch.randn(s, device=device) / (s[1] * s[2] * s[3]) ** 0.5 for s in shapes]
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
            params = [p.contiguous(memory_format=torch.channels_last) for p in params]
        weights = torch.full((1, len(DARTS)), 1 / len(DARTS), device=device)
        return x.requires_grad_(), weights.requires_grad_(), [p.requires_grad_() for p in params]


#: The targets' columns: three of stride 1, two of stride 2.
SHAPES = (Shape(16, 32), Shape(32, 16), Shape(64, 8), Shape(32, 32, 2), Shape(64, 16, 2))
#: A rehearsal.
SMALL_SHAPES = (Shape(4, 8, batch=2), Shape(4, 8, 2, batch=2))


def eager(stride: int, x: Tensor, weights: Tensor, params: list[Tensor]) -> Tensor:
    """The twin: a weighted sum over branches, each on its own."""
    return reference.mixed_edges(x, weights, params, DARTS, stride)[0][0]


def composed(stride: int, x: Tensor, weights: Tensor, params: list[Tensor]) -> Tensor:
    """The best plain-PyTorch composition found: one ReLU for all, and the weight rides on BN's affine.

    ReLU is in place where nothing else needs its input.
    """
    channels, rest = x.shape[1], list(params)

    def norm(z: Tensor, weight: Tensor | None = None) -> Tensor:
        scale = None if weight is None else weight.expand(channels)
        bias = None if weight is None else torch.zeros_like(z[0, :, 0, 0])
        return F.batch_norm(z, None, None, scale, bias, training=True)

    positive = F.relu(x)
    total: Tensor | None = None
    for k, name in enumerate(DARTS):
        candidate, weight = CANDIDATES[name], weights[0, k]
        own = [rest.pop(0) for _ in candidate.param_shapes(channels, stride)]
        if candidate.kind == "none":
            continue
        if candidate.kind == "max_pool":
            term = norm(F.max_pool2d(x, 3, stride, 1), weight)
        elif candidate.kind == "avg_pool":
            term = norm(F.avg_pool2d(x, 3, stride, 1, count_include_pad=False), weight)
        elif candidate.kind == "skip":
            if stride == 1:
                term = weight * x
            else:
                shifted = F.pad(positive[:, :, 1:, 1:], (0, x.shape[3] % 2, 0, x.shape[2] % 2))
                halves = [F.conv2d(positive, own[0], stride=2), F.conv2d(shifted, own[1], stride=2)]
                term = norm(torch.cat(halves, 1), weight)
        else:
            term = positive
            for half in range(candidate.halves):
                depthwise, pointwise = own[2 * half : 2 * half + 2]
                step = stride if half == 0 else 1
                term = F.relu_(term) if half else term
                term = F.conv2d(term, depthwise, None, step, candidate.padding, candidate.dilation, channels)
                last = half + 1 == candidate.halves
                term = norm(F.conv2d(term, pointwise), weight if last else None)
        total = term if total is None else total.add_(term) if k > 3 else total + term
    assert total is not None
    return total


def checkpointed(stride: int, x: Tensor, weights: Tensor, params: list[Tensor]) -> Tensor:
    """The composition under torch.utils.checkpoint: saves x, computes forward twice."""
    return checkpoint(composed, stride, x, weights, params, use_reentrant=False)


def fused(stride: int, x: Tensor, weights: Tensor, params: list[Tensor]) -> Tensor:
    """This project's operator."""
    return mixed_edges(x, weights, params, DARTS, stride)[0][0]


def fused_saving(stride: int, x: Tensor, weights: Tensor, params: list[Tensor]) -> Tensor:
    """This project's operator with ``recompute=False``."""
    return mixed_edges(x, weights, params, DARTS, stride, recompute=False)[0][0]


_COMPILED: list[Callable[..., Tensor]] = []


def compiled(stride: int, x: Tensor, weights: Tensor, params: list[Tensor]) -> Tensor:
    """The composition under torch.compile."""
    if not _COMPILED:
        _COMPILED.append(torch.compile(composed, dynamic=False))
    return _COMPILED[0](stride, x, weights, params)


#: Name -> (function, channels_last).
VARIANTS: dict[str, tuple[Callable[..., Tensor], bool]] = {
    "eager NCHW": (eager, False),
    "eager channels_last": (eager, True),
    "composed NCHW": (composed, False),
    "composed channels_last": (composed, True),
    "compile": (compiled, False),
    "checkpoint channels_last": (checkpointed, True),
    "fused": (fused, False),
    "fused, saving": (fused_saving, False),
}


def step(variant: str, stride: int, arguments: Arguments) -> tuple[Tensor, ...]:
    """Forward and backward of ‖y‖²/2 with every gradient."""
    x, weights, params = arguments
    y = VARIANTS[variant][0](stride, x, weights, params)
    return torch.autograd.grad(y, [x, weights, *params], y.detach())


def saved_bytes(variant: str, shape: Shape, device: str = "cpu") -> int:
    """What stays alive for backward, the edge's x included, its weights and params not."""
    arguments = shape.arguments(VARIANTS[variant][1], device)
    x, weights, params = arguments
    own = {t.untyped_storage().data_ptr() for t in (weights, *params)}
    kept: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        storage = t.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = VARIANTS[variant][0](shape.stride, x, weights, params)
    del y
    return sum(kept.values())

"""Random calls of mixed_edges, and how two implementations of it are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from amended_darts_ext import CANDIDATES, reference

from ..cuda_on_cpu import emulator


def examples(count: int) -> int:
    """How many random calls a test makes: fewer where CUDA kernels are emulated."""
    return count if emulator.library_path() is None else max(1, int(0.12 * count))


@dataclass(frozen=True)
class Call:
    """One configuration of mixed_edges, from which random arguments are made."""

    candidates: tuple[str, ...] = tuple(CANDIDATES)
    stride: int = 1
    n: int = 2
    c: int = 4
    out_c: int | None = None  # other than c only with candidates that set the channels
    h: int = 6
    w: int = 5
    edges: int = 1
    per_sample: bool = False
    running: bool = False
    affine: bool = False
    pool_norm: bool = True
    recompute: bool = True
    layout: str = "contiguous"  # or channels_last, sliced, transposed, expanded
    dtype: torch.dtype = torch.float64
    seed: int = 0

    def arguments(self, device: str = "cpu") -> dict[str, Any]:
        """Leaves that require grad where a gradient is defined."""
        generator = torch.Generator().manual_seed(self.seed)

        def randn(*size: int) -> Tensor:
            return torch.randn(*size, generator=generator, dtype=torch.float64)

        table = [CANDIDATES[name] for name in self.candidates]
        shapes = [shape for c in table for shape in c.param_shapes(self.c, self.stride, self.out_c)] * self.edges
        params = [randn(*shape) / max(1, shape[1] * shape[2] * shape[3]) ** 0.5 for shape in shapes]
        norms = (self.edges, sum(c.num_norms(self.stride, self.pool_norm) for c in table), self.out_c or self.c)
        rows = (self.edges, self.n, len(table)) if self.per_sample else (self.edges, len(table))
        named: dict[str, Any] = {
            "x": _in_layout(randn(self.n, self.c, self.h, self.w), self.layout, randn),
            "weights": randn(*rows).softmax(-1),
            "params": params,
            "running_mean": randn(*norms) / 2 if self.running else None,
            "running_var": randn(*norms).square() + 0.5 if self.running else None,
            "bn_weight": randn(*norms) + 1 if self.affine else None,
            "bn_bias": randn(*norms) if self.affine else None,
        }
        wide = torch.float64 if self.dtype == torch.float64 else torch.float32

        def leaf(t: Tensor, dtype: torch.dtype) -> Tensor:
            # .to keeps strides only of dense tensors: convert, then lay out again.
            t = _in_layout(t.to(dtype), self.layout, None) if t.dim() == 4 and t is named["x"] else t.to(dtype)
            return t.to(device).detach().requires_grad_(True)

        made = {
            "x": leaf(named["x"], self.dtype),
            "weights": leaf(named["weights"], wide),
            "params": [leaf(p, self.dtype) for p in params],
            "candidates": list(self.candidates),
            "stride": self.stride,
            "pool_norm": self.pool_norm,
            "recompute": self.recompute,
        }
        for name in ("bn_weight", "bn_bias"):
            made[name] = None if named[name] is None else leaf(named[name], wide)
        for name in ("running_mean", "running_var"):
            made[name] = None if named[name] is None else named[name].to(wide).to(device)
        return made


def _in_layout(x: Tensor, layout: str, randn: Callable[..., Tensor] | None) -> Tensor:
    """x with the strides of ``layout``: the same values, but for "expanded", whose channels are all alike."""
    if layout == "channels_last":
        return x.contiguous(memory_format=torch.channels_last)
    if layout == "transposed":
        return x.transpose(2, 3).contiguous().transpose(2, 3)
    if layout == "sliced":
        wide = x.new_zeros(x.shape[0], x.shape[1] + 1, x.shape[2] + 3, 2 * x.shape[3])
        wide[:, 1:, 2:-1, ::2] = x
        return wide[:, 1:, 2:-1, ::2]
    if layout == "expanded":
        return x[:, :1].expand(x.shape)
    return x.contiguous()


def inputs(arguments: dict[str, Any]) -> list[Tensor]:
    """Every leaf that requires grad, in a fixed order."""
    flat = [arguments["x"], arguments["weights"], *arguments["params"], arguments["bn_weight"], arguments["bn_bias"]]
    return [t for t in flat if t is not None and t.requires_grad]


def outputs_and_gradients(op: Callable[..., Any], arguments: dict[str, Any]) -> list[Tensor]:
    """Outputs, statistics, and the gradients of a fixed random projection of the outputs.

    Without oneDNN: float32 convolutions of torch 2.13 corrupt the heap there in some shapes (seen in the twin alone, on
    AVX-512, in a random walk over small odd images), and would take the whole test run with them.
    """
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        return _outputs_and_gradients(op, arguments)
    finally:
        torch._C._set_mkldnn_enabled(before)


def _outputs_and_gradients(op: Callable[..., Any], arguments: dict[str, Any]) -> list[Tensor]:
    y, mean, var, _ = op(**arguments)
    generator = torch.Generator().manual_seed(1)
    loss = torch.zeros((), dtype=torch.float64, device=y[0].device)
    for out in y:
        loss = loss + (out.double() * torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out)).sum()
    gradients = torch.autograd.grad(loss, inputs(arguments), allow_unused=True, materialize_grads=True)
    return [t.detach() for t in (*y, mean, var, *gradients)]


def disagreement(results: Sequence[Tensor], truth: Sequence[Tensor]) -> float:
    """The largest ‖difference‖ / (‖truth‖ + 1e-3 · the largest norm among the tensors compared)."""
    wide = [(r.double().cpu(), t.double().cpu()) for r, t in zip(results, truth, strict=True)]
    largest = max(t.norm().item() for _, t in wide)
    if largest == 0:
        return max(r.norm().item() for r, _ in wide)
    return max(((r - t).norm() / (t.norm() + 1e-3 * largest)).item() for r, t in wide)


def away_from_kinks(call: Call) -> bool:
    """Whether no inner ReLU input of the float64 twin lies within 1e-6 of zero, where rounding takes either side."""
    closest = [float("inf")]
    relu = torch.nn.functional.relu
    arguments = replace(call, dtype=torch.float64).arguments()

    def recording(x: Tensor, *rest: Any, **named: Any) -> Tensor:
        if x is not arguments["x"] and x.numel() > 0:
            closest.append(x.abs().min().item())
        return relu(x, *rest, **named)

    with mock.patch("torch.nn.functional.relu", recording), torch.no_grad():
        reference.mixed_edges(**arguments)
    return min(closest) > 1e-6

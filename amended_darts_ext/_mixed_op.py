"""What torch needs beside the kernels of the mixed-op operators: fakes, autograd, autocast, FLOP formulas, composite.

The schemas stand in csrc/mixed_op.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from ._checks import check_mixed_edges, check_mixed_op, out_channels, output_size

_LIBRARY = torch.library.Library("amended_darts", "FRAGMENT")


# mixed_op: composite


def _mixed_op(
    x: Tensor,
    weights: Tensor,
    params: Sequence[Tensor],
    candidates: Sequence[str],
    stride: int = 1,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    bn_weight: Tensor | None = None,
    bn_bias: Tensor | None = None,
    eps: float = 1e-5,
    pool_norm: bool = True,
    recompute: bool = True,
    allow_tf32: bool = False,
) -> Tensor:
    norm_arguments = (running_mean, running_var, bn_weight, bn_bias)
    check_mixed_op(x, weights, *norm_arguments)
    outputs, _, _, _ = torch.ops.amended_darts.mixed_edges(
        x,
        weights.unsqueeze(0),
        params,
        candidates,
        stride,
        *(None if t is None else t.unsqueeze(0) for t in norm_arguments),
        eps,
        pool_norm,
        recompute,
        allow_tf32,
    )
    return outputs[0]


# mixed_edges: fake


def _memory_format(x: Tensor) -> torch.memory_format:
    """channels_last where x is dense in that order and in no other: the rule of the kernels."""
    channels_last = not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format


def _mixed_edges_fake(
    x: Tensor,
    weights: Tensor,
    params: Sequence[Tensor],
    candidates: Sequence[str],
    stride: int = 1,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    bn_weight: Tensor | None = None,
    bn_bias: Tensor | None = None,
    eps: float = 1e-5,
    pool_norm: bool = True,
    recompute: bool = True,
    allow_tf32: bool = False,
) -> tuple[list[Tensor], Tensor, Tensor, list[Tensor]]:
    table, channels = check_mixed_edges(
        x, weights, params, candidates, stride, running_mean, running_var, bn_weight, bn_bias, pool_norm
    )
    size = (x.shape[0], channels, *output_size(x, stride))
    edges = weights.shape[0]
    y = [x.new_empty(size).to(memory_format=_memory_format(x)) for _ in range(edges)]
    norms = sum(candidate.num_norms(stride, pool_norm) for candidate in table)
    statistics = (edges, norms, channels)
    convolutions = sum(candidate.num_norms(stride, pool_norm=False) for candidate in table)
    saved = [] if recompute else _fake_saved(x, size, edges, convolutions)
    return y, weights.new_empty(statistics), weights.new_empty(statistics), saved


def _fake_saved(x: Tensor, size: Sequence[int], edges: int, convolutions: int) -> list[Tensor]:
    """What is kept for backward: each convolution's output before BN; on the CPU, channels fill whole vectors."""
    n, c, h, w = size
    if x.device.type != "cpu":
        return [x.new_empty(convolutions * n * c * h * w) for _ in range(edges)]
    if x.dtype == torch.float64:
        return []
    width = {"baseline": 4, "avx2": 8, "avx512": 16}[torch.ops.amended_darts._cpu_isa()]
    floats = convolutions * n * ((c + width - 1) // width * width) * h * w
    return [x.new_empty(floats, dtype=torch.float32) for _ in range(edges)]


def _mixed_edges_backward_fake(
    grad_y: Sequence[Tensor],
    x: Tensor,
    weights: Tensor,
    params: Sequence[Tensor],
    candidates: Sequence[str],
    stride: int,
    mean: Tensor,
    var: Tensor,
    bn_weight: Tensor | None,
    bn_bias: Tensor | None,
    saved: Sequence[Tensor],
    eps: float,
    pool_norm: bool,
    batch_stats: bool,
    allow_tf32: bool,
    need_x: bool,
    need_weights: bool,
    need_params: bool,
    need_norm: bool,
) -> tuple[Tensor, Tensor, list[Tensor], Tensor, Tensor]:
    affine = need_norm and bn_weight is not None
    return (
        x.new_empty(x.shape).to(memory_format=_memory_format(x)) if need_x else x.new_empty(0),
        weights.new_empty(weights.shape) if need_weights else weights.new_empty(0),
        [p.new_empty(p.shape) for p in params] if need_params else [],
        mean.new_empty(mean.shape) if affine else mean.new_empty(0),
        mean.new_empty(mean.shape) if affine else mean.new_empty(0),
    )


# mixed_edges: autograd


def _mixed_edges_setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    x, weights, params, candidates, stride, running_mean, _, bn_weight, bn_bias, eps, pool_norm, _, allow_tf32 = inputs
    _, mean, var, saved = output
    ctx.mark_non_differentiable(mean, var, *saved)
    ctx.set_materialize_grads(False)
    ctx.num_params, ctx.affine = len(params), bn_weight is not None
    ctx.settings = (candidates, stride, eps, pool_norm, running_mean is None, allow_tf32)
    affine = (bn_weight, bn_bias) if ctx.affine else ()
    ctx.save_for_backward(x, weights, mean, var, *params, *affine, *saved)


def _mixed_edges_backward(ctx: Any, grad_y: Sequence[Tensor | None], *_: Any) -> tuple[Any, ...]:
    x, weights, mean, var, *rest = ctx.saved_tensors
    params, rest = rest[: ctx.num_params], rest[ctx.num_params :]
    bn_weight, bn_bias, saved = (*rest[:2], rest[2:]) if ctx.affine else (None, None, rest)
    candidates, stride, eps, pool_norm, batch_stats, allow_tf32 = ctx.settings
    gradients: list[Any] = [None] * len(ctx.needs_input_grad)
    gradients[2] = [None] * len(params)
    if all(grad is None for grad in grad_y):
        return tuple(gradients)
    size = (x.shape[0], out_channels(x, params, candidates, stride), *output_size(x, stride))
    wanted = ctx.needs_input_grad
    need_params = any(wanted[2]) if isinstance(wanted[2], (list, tuple)) else bool(wanted[2])
    need_norm = len(wanted) > 7 and bool(wanted[7] or wanted[8])
    grad_x, grad_weights, grad_params, grad_bn_weight, grad_bn_bias = torch.ops.amended_darts._mixed_edges_backward(
        [x.new_zeros(size) if grad is None else grad for grad in grad_y],
        x,
        weights,
        params,
        candidates,
        stride,
        mean,
        var,
        bn_weight,
        bn_bias,
        saved,
        eps,
        pool_norm,
        batch_stats,
        allow_tf32,
        wanted[0],
        wanted[1],
        need_params,
        need_norm,
    )
    if wanted[0]:
        gradients[0] = grad_x
    if wanted[1]:
        gradients[1] = grad_weights
    if need_params:
        gradients[2] = list(grad_params)
    if need_norm:
        gradients[7], gradients[8] = grad_bn_weight, grad_bn_bias
    return tuple(gradients)


def _double_backward_setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    pass


def _double_backward(ctx: Any, *_: Any) -> None:
    raise RuntimeError(
        "amended_darts::mixed_edges has no second derivative: use its plain-PyTorch twin "
        'amended_darts_ext.reference.mixed_edges (MixedOp(..., implementation="reference")), '
        "or finite differences (amended_darts.hypergradient)"
    )


# mixed_edges: autocast


def _register_autocast(device_type: str) -> None:
    """Under autocast x and params take its dtype; weights, statistics and BN arguments stay as they are."""
    key = {"cpu": "AutocastCPU", "cuda": "AutocastCUDA"}[device_type]
    keyset = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, key))

    def cast(t: Tensor) -> Tensor:
        eligible = t.is_floating_point() and t.dtype != torch.float64 and t.device.type == device_type
        return t.to(torch.get_autocast_dtype(device_type)) if eligible else t

    def autocast(
        x: Tensor, weights: Tensor, params: Sequence[Tensor], candidates: Sequence[str], *rest: Any, **named: Any
    ) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(keyset):
            return torch.ops.amended_darts.mixed_edges(
                cast(x), weights, [cast(p) for p in params], candidates, *rest, **named
            )

    _LIBRARY.impl("mixed_edges", autocast, key)


# FLOPs


def _convolution_flops(x_shape: Sequence[int], param_shapes: Sequence[Sequence[int]], stride: int) -> int:
    """2 · multiply-adds of all convolutions of one forward, as torch's formula for aten.convolution counts them."""
    n, _, h, w = x_shape
    pixels = n * ((h + stride - 1) // stride) * ((w + stride - 1) // stride)
    return 2 * pixels * sum(math.prod(shape) for shape in param_shapes)


def _mixed_edges_flops(
    x_shape: Any, weights_shape: Any, params: Any, candidates: Any, stride: int = 1, *_: Any, **__: Any
) -> int:
    return _convolution_flops(x_shape, params, stride)


def _mixed_edges_backward_flops(
    grad_y: Any,
    x_shape: Any,
    weights_shape: Any,
    params: Any,
    candidates: Any,
    stride: int,
    mean: Any,
    var: Any,
    bn_weight: Any,
    bn_bias: Any,
    saved: Any,
    eps: float,
    pool_norm: bool,
    batch_stats: bool,
    allow_tf32: bool,
    need_x: bool,
    need_weights: bool,
    need_params: bool,
    need_norm: bool,
    *_: Any,
    **__: Any,
) -> int:
    """The recomputed forward, and one more for each of the two gradients of a convolution that is computed."""
    forward = _convolution_flops(x_shape, params, stride)
    return forward * ((0 if saved else 1) + int(need_params or need_x) + int(need_params))


def register() -> None:
    """Registers every companion; once, after the library is loaded."""
    fakes: dict[str, Callable[..., Any]] = {
        "mixed_edges": _mixed_edges_fake,
        "_mixed_edges_backward": _mixed_edges_backward_fake,
    }
    for name, fake in fakes.items():
        torch.library.register_fake(f"amended_darts::{name}", fake, lib=_LIBRARY)
    torch.library.register_autograd(
        "amended_darts::mixed_edges", _mixed_edges_backward, setup_context=_mixed_edges_setup_context, lib=_LIBRARY
    )
    torch.library.register_autograd(
        "amended_darts::_mixed_edges_backward",
        _double_backward,
        setup_context=_double_backward_setup_context,
        lib=_LIBRARY,
    )
    for device_type in ("cpu", "cuda"):
        _register_autocast(device_type)
    _LIBRARY.impl("mixed_op", _mixed_op, "CompositeImplicitAutograd")
    register_flop_formula(torch.ops.amended_darts.mixed_edges)(_mixed_edges_flops)
    register_flop_formula(torch.ops.amended_darts._mixed_edges_backward)(_mixed_edges_backward_flops)

"""What a call of ``mixed_edges`` must satisfy: csrc/mixed_op.cpp's own sentences, for the twin and the fake kernel.

Every check raises RuntimeError, the type that the compiled operators raise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .candidates import Candidate, find_candidates

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def output_size(x: Tensor, stride: int) -> tuple[int, int]:
    """(ceil(H / stride), ceil(W / stride))."""
    return (x.shape[2] + stride - 1) // stride, (x.shape[3] + stride - 1) // stride


def accumulate_dtype(x: Tensor) -> torch.dtype:
    """Type of weights, statistics and BN arguments: float64 with x of float64, otherwise float32."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _shape(t: Tensor) -> str:
    return "[" + ", ".join(str(size) for size in t.shape) + "]"


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RuntimeError(message)


def _decider(table: Sequence[Candidate], stride: int) -> Candidate:
    """The candidate that decides how many channels y has: one that keeps those of x, or else the first one."""
    return next((candidate for candidate in table if not candidate.sets_channels(stride)), table[0])


def _out_channels(x: Tensor, params: Sequence[Tensor], table: Sequence[Candidate], stride: int) -> int:
    """C'; that of x where weights do not tell, so that the check of their shapes finds them wrong."""
    first = _decider(table, stride)
    if not first.sets_channels(stride):
        return x.shape[1]
    count = len(first.param_shapes(1, stride))
    channels = sum(param.shape[0] for param in params[:count] if param.dim() == 4)
    return channels if channels > 0 else x.shape[1]


def out_channels(x: Tensor, params: Sequence[Tensor], candidates: Sequence[str], stride: int) -> int:
    """C', the channels of y, in a call that has been checked."""
    return _out_channels(x, params, find_candidates(candidates), stride)


def _check_x(x: Tensor, op: str) -> None:
    _require(x.dim() == 4, f"{op}: x must have 4 dimensions [N, C, H, W], got {_shape(x)}")
    _require(x.dtype in _DTYPES, f"{op}: x must be float32, float64, bfloat16 or float16, got {_name(x.dtype)}")


def check_mixed_op(
    x: Tensor,
    weights: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    bn_weight: Tensor | None,
    bn_bias: Tensor | None,
) -> None:
    """What ``mixed_op`` asks beyond ``mixed_edges``: its arguments have no edge axis."""
    _check_x(x, "mixed_op")
    per_sample = weights.dim() == 2 and weights.shape[0] == x.shape[0]
    _require(
        weights.dim() == 1 or per_sample,
        f"mixed_op: weights must be [K] or, one row per sample, [N, K] with N = {x.shape[0]}, got {_shape(weights)}",
    )
    named = {"running_mean": running_mean, "running_var": running_var, "bn_weight": bn_weight, "bn_bias": bn_bias}
    for name, t in named.items():
        if t is not None:
            _require(t.dim() == 2, f"mixed_op: {name} must have 2 dimensions [B, C], got {_shape(t)}")


def check_mixed_edges(
    x: Tensor,
    weights: Tensor,
    params: Sequence[Tensor],
    candidates: Sequence[str],
    stride: int,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    bn_weight: Tensor | None,
    bn_bias: Tensor | None,
    pool_norm: bool,
) -> tuple[list[Candidate], int]:
    """Checks one call and returns the candidates' rows of the table and C', the channels of y."""
    op = "mixed_edges"
    _check_x(x, op)
    table = find_candidates(candidates, op)
    _require(stride in (1, 2), f"{op}: stride must be 1 or 2, got {stride}")
    _require(
        x.shape[1] > 0 and x.shape[2] > 0 and x.shape[3] > 0,
        f"{op}: x must have at least one channel and one pixel, got {_shape(x)}",
    )
    count = len(table)
    shared = weights.dim() == 2 and weights.shape[1] == count
    per_sample = weights.dim() == 3 and weights.shape[1] == x.shape[0] and weights.shape[2] == count
    _require(
        (shared or per_sample) and weights.shape[0] > 0,
        f"{op}: weights must be [E, K] or, one row per sample, [E, N, K] with N = {x.shape[0]} and "
        f"K = {count} candidates, got {_shape(weights)}",
    )
    accumulate = accumulate_dtype(x)
    edges = weights.shape[0]

    count = sum(len(candidate.param_shapes(1, stride)) for candidate in table)
    _require(
        len(params) == count * edges,
        f"{op}: params must hold {count * edges} convolution weights ({edges} edges of {count}), got {len(params)}",
    )
    channels, first = _out_channels(x, params, table, stride), _decider(table, stride)
    expected = [(c, shape) for c in table for shape in c.param_shapes(x.shape[1], stride, channels)] * edges
    for i, (param, (candidate, shape)) in enumerate(zip(params, expected, strict=True)):
        if tuple(param.shape) != shape:
            other = candidate is not first and candidate.sets_channels(stride)
            reason = f" (as many channels as {first.name} gives)" if other else ""
            raise RuntimeError(f"{op}: params[{i}] must be {list(shape)}{reason}, got {_shape(param)}")
        _require(
            param.dtype == x.dtype,
            f"{op}: params[{i}] must have the dtype of x ({_name(x.dtype)}), got {_name(param.dtype)}",
        )
        _require(
            param.device == x.device, f"{op}: params[{i}] must be on the device of x ({x.device}), got {param.device}"
        )

    norms = sum(candidate.num_norms(stride, pool_norm) for candidate in table)
    _require(
        (running_mean is None) == (running_var is None),
        f"{op}: running_mean and running_var must be given together, got one of them",
    )
    _require(
        (bn_weight is None) == (bn_bias is None), f"{op}: bn_weight and bn_bias must be given together, got one of them"
    )
    named = {
        "weights": weights,
        "running_mean": running_mean,
        "running_var": running_var,
        "bn_weight": bn_weight,
        "bn_bias": bn_bias,
    }
    for name, t in named.items():
        if t is None:
            continue
        if name != "weights":
            _require(
                tuple(t.shape) == (edges, norms, channels),
                f"{op}: {name} must be [E, B, C'] = [{edges}, {norms}, {channels}], got {_shape(t)}",
            )
        _require(
            t.dtype == accumulate,
            f"{op}: {name} must be {_name(accumulate)} where x is {_name(x.dtype)}, got {_name(t.dtype)}",
        )
        _require(t.device == x.device, f"{op}: {name} must be on the device of x ({x.device}), got {t.device}")

    if norms > 0 and running_mean is None:
        out_h, out_w = output_size(x, stride)
        _require(
            x.shape[0] * out_h * out_w != 1,
            f"{op}: expected more than 1 value per channel when training, got output size "
            f"[{x.shape[0]}, {channels}, {out_h}, {out_w}]",
        )
    return table, channels

"""The operators in plain PyTorch: the twins that tests compare with.

Same signatures and results as ``torch.ops.amended_darts``, on any device, differentiable to any order, made of
``torch.nn.functional`` alone. They save and move what eager PyTorch does; use them where a second derivative is needed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ._checks import accumulate_dtype, check_mixed_edges, check_mixed_op, output_size
from ._reference_perturbation import central_difference, global_norm, perturb_, step_size
from .candidates import Candidate

__all__ = [
    "Norms",
    "branch",
    "central_difference",
    "global_norm",
    "mixed_edges",
    "mixed_op",
    "perturb_",
    "step_size",
]


class Norms:
    """The BatchNorms of one edge, applied row by row in forward order.

    Args:
        running_mean, running_var: [B, C], used as constants; None: batch statistics.
        weight, bias: [B, C] affine; None: no affine.
    """

    def __init__(
        self,
        running_mean: Tensor | None = None,
        running_var: Tensor | None = None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> None:
        self.running_mean, self.running_var, self.weight, self.bias, self.eps = (
            running_mean,
            running_var,
            weight,
            bias,
            eps,
        )
        self.mean: list[Tensor] = []
        self.var: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        row = len(self.mean)
        weight = None if self.weight is None else self.weight[row]
        bias = None if self.bias is None else self.bias[row]
        if self.running_mean is None or self.running_var is None:
            with torch.no_grad():
                var, mean = torch.var_mean(x.to(accumulate_dtype(x)), dim=(0, 2, 3), correction=0)
            out = F.batch_norm(x, None, None, weight, bias, training=True, eps=self.eps)
        else:
            mean, var = self.running_mean[row], self.running_var[row]
            out = F.batch_norm(x, mean, var, weight, bias, training=False, eps=self.eps)
        self.mean.append(mean)
        self.var.append(var)
        return out


def max_pool_3x3(x: Tensor, norm: Norms | None, stride: int) -> Tensor:
    """3x3 max-pool, then BN if there is one."""
    out = F.max_pool2d(x, 3, stride, 1)
    return out if norm is None else norm(out)


def avg_pool_3x3(x: Tensor, norm: Norms | None, stride: int) -> Tensor:
    """3x3 average over the pixels inside the image, then BN if there is one."""
    out = F.avg_pool2d(x, 3, stride, 1, count_include_pad=False)
    return out if norm is None else norm(out)


def factorized_reduce(x: Tensor, params: Sequence[Tensor], norm: Norms) -> Tensor:
    """ReLU, two stride-2 1x1 convolutions of x and of x shifted by one pixel, concatenated to C' channels, BN.

    Where a size is odd the shifted image is padded at its end, so that both halves have ceil(size / 2) pixels.
    """
    x = F.relu(x)
    shifted = F.pad(x[:, :, 1:, 1:], (0, x.shape[3] % 2, 0, x.shape[2] % 2))
    images = zip((x, shifted), params, strict=True)
    # One channel has an empty first half, which conv2d does not take.
    return norm(torch.cat([F.conv2d(image, weight, stride=2) for image, weight in images if len(weight) > 0], 1))


def depthwise_half(
    x: Tensor, depthwise: Tensor, pointwise: Tensor, norm: Norms, stride: int, padding: int, dilation: int
) -> Tensor:
    """ReLU, depthwise kxk, 1x1, BN: once in a dilated convolution, twice in a separable one."""
    x = F.conv2d(F.relu(x), depthwise, None, stride, padding, dilation, groups=x.shape[1])
    return norm(F.conv2d(x, pointwise))


def relu_conv_bn(x: Tensor, weight: Tensor, norm: Norms, stride: int, padding: int) -> Tensor:
    """ReLU, dense kxk, BN (``nor_conv_*``)."""
    return norm(F.conv2d(F.relu(x), weight, None, stride, padding))


def branch(
    candidate: Candidate, x: Tensor, params: Sequence[Tensor], norm: Norms, stride: int = 1, pool_norm: bool = True
) -> Tensor:
    """The output of one candidate, [N, C', ceil(H / stride), ceil(W / stride)]; C' is C but for what params say."""
    if candidate.kind == "none":
        return x.new_zeros(x.shape[0], x.shape[1], *output_size(x, stride))
    if candidate.kind == "max_pool":
        return max_pool_3x3(x, norm if pool_norm else None, stride)
    if candidate.kind == "avg_pool":
        return avg_pool_3x3(x, norm if pool_norm else None, stride)
    if candidate.kind == "skip":
        return x if stride == 1 else factorized_reduce(x, params, norm)
    if candidate.kind == "dense":
        return relu_conv_bn(x, params[0], norm, stride, candidate.padding)
    for half in range(candidate.halves):
        depthwise, pointwise = params[2 * half : 2 * half + 2]
        x = depthwise_half(
            x, depthwise, pointwise, norm, stride if half == 0 else 1, candidate.padding, candidate.dilation
        )
    return x


def mixed_edges(
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
    """Twin of ``torch.ops.amended_darts.mixed_edges``; see :func:`amended_darts_ext.mixed_edges`.

    ``recompute`` and ``allow_tf32`` are taken for the signature's sake: PyTorch's own settings rule here.
    """
    table, channels = check_mixed_edges(
        x, weights, params, candidates, stride, running_mean, running_var, bn_weight, bn_bias, pool_norm
    )
    edges = weights.shape[0]
    norms_per_edge = sum(candidate.num_norms(stride, pool_norm) for candidate in table)
    outputs: list[Tensor] = []
    means: list[Tensor] = []
    variances: list[Tensor] = []
    if x.numel() == 0:
        # Connected to every input, so that each gets a gradient of zeros.
        arguments = [x, weights, *params, *(t for t in (bn_weight, bn_bias) if t is not None)]
        zero = torch.stack([t.sum().to(x.dtype) for t in arguments]).sum()
        out = x.new_zeros(x.shape[0], channels, *output_size(x, stride))
        stats = weights.new_zeros(edges, norms_per_edge, channels)
        if running_mean is not None and running_var is not None:
            return [out + zero for _ in range(edges)], running_mean.clone(), running_var.clone(), []
        return [out + zero for _ in range(edges)], stats, stats.clone(), []
    rest = list(params)
    for edge in range(edges):
        mean, var, weight, bias = (
            None if t is None else t[edge] for t in (running_mean, running_var, bn_weight, bn_bias)
        )
        norm = Norms(mean, var, weight, bias, eps)
        total: Tensor | None = None
        for k, candidate in enumerate(table):
            count = len(candidate.param_shapes(x.shape[1], stride))
            own, rest = rest[:count], rest[count:]
            if candidate.kind == "none":
                continue
            out = branch(candidate, x, own, norm, stride, pool_norm)
            factor = weights[edge, ..., k]
            term = (factor.view(-1, 1, 1, 1) if factor.dim() else factor) * out
            total = term if total is None else total + term
        if total is None:
            zero = x.new_zeros(x.shape[0], channels, *output_size(x, stride))
            total = weights.sum() * 0 + zero  # connected to weights alone: zeros even where x is not finite
        outputs.append(total.to(x.dtype))
        means += norm.mean
        variances += norm.var
    shape = (edges, norms_per_edge, channels)
    if not means:
        return outputs, weights.new_zeros(shape), weights.new_zeros(shape), []
    return outputs, torch.stack(means).view(shape), torch.stack(variances).view(shape), []


def mixed_op(
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
    """Twin of ``torch.ops.amended_darts.mixed_op``: the output of :func:`mixed_edges` with one edge."""
    check_mixed_op(x, weights, running_mean, running_var, bn_weight, bn_bias)
    mean, var, weight, bias = (
        None if t is None else t.unsqueeze(0) for t in (running_mean, running_var, bn_weight, bn_bias)
    )
    settings = (eps, pool_norm, recompute, allow_tf32)
    outputs, *_ = mixed_edges(x, weights.unsqueeze(0), params, candidates, stride, mean, var, weight, bias, *settings)
    return outputs[0]

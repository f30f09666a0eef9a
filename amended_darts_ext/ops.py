"""The operators as typed functions: what ``torch.ops.amended_darts`` has, for editors and documentation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["mixed_edges", "mixed_op", "release_workspace"]


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
    """The mixed operation of a DARTS super-network, Σ_k weights[k] · o_k(x).

    Equivalent to ``sum(w * op(x) for w, op in zip(weights, ops))`` over the candidate modules of DARTS (Liu et al.
    2018, eq. 2), without keeping any branch for backward.

    Args:
        x: [N, C, H, W]; float32, float64, bfloat16 or float16; any strides.
        weights: [K] or, one row per sample, [N, K], used as given; float32 (float64 with x of float64).
        params: convolution weights, candidate by candidate, each in forward order, in torch's own shapes; x's dtype.
            ``sep_conv_*``: [C, 1, k, k], [C, C, 1, 1], twice; ``dil_conv_*``: the same once; ``nor_conv_*``:
            [C', C, k, k]; ``skip_connect`` at stride 2: [C'/2, C, 1, 1] and [C' - C'/2, C, 1, 1] (C'/2 rounded down);
            the others have none. C' is what these weights say, the same for all candidates, and C with any candidate
            that keeps the channels of x (all but ``nor_conv_*`` and ``skip_connect`` at stride 2).
        candidates: K names of :data:`amended_darts_ext.CANDIDATES`, in the order of ``weights``.
        stride: 1 or 2.
        running_mean, running_var: [B, C'], one row per BatchNorm in forward order, used as constants; None: batch
            statistics.
        bn_weight, bn_bias: [B, C'] affine of BatchNorm; None: none.
        eps: of BatchNorm.
        pool_norm: BatchNorm after the pools.
        recompute: compute the branches again in backward; False keeps their outputs where the backend can.
        allow_tf32: products may be rounded to TF32 (CUDA).

    Returns:
        [N, C', ceil(H/stride), ceil(W/stride)] in x's dtype, channels_last where x is.

    Raises:
        RuntimeError: an argument does not fit; the sentence names it, what was expected and what came. Also a second
            derivative: use :func:`amended_darts_ext.reference.mixed_op` for that.
    """
    return torch.ops.amended_darts.mixed_op(
        x,
        weights,
        params,
        candidates,
        stride,
        running_mean,
        running_var,
        bn_weight,
        bn_bias,
        eps,
        pool_norm,
        recompute,
        allow_tf32,
    )


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
    """:func:`mixed_op` for E edges that leave one state x and share what they can.

    Args:
        weights: [E, K] or, one row per sample, [E, N, K].
        params: edge by edge.
        running_mean, running_var, bn_weight, bn_bias: [E, B, C'].
        x, candidates and the others: as for :func:`mixed_op`.

    Returns:
        y: E tensors [N, C', ceil(H/stride), ceil(W/stride)].
        mean, var: [E, B, C'] (biased), the statistics that were used; not differentiable.
        saved: what ``recompute=False`` keeps for backward; not differentiable.

    Raises:
        RuntimeError: as :func:`mixed_op`.
    """
    return torch.ops.amended_darts.mixed_edges(
        x,
        weights,
        params,
        candidates,
        stride,
        running_mean,
        running_var,
        bn_weight,
        bn_bias,
        eps,
        pool_norm,
        recompute,
        allow_tf32,
    )


def release_workspace() -> None:
    """Frees the memory that the CPU kernels keep from one call to the next.

    Each call leases one workspace; as many are kept as calls ran at the same time, at most 8. What a running call uses
    stays until another release.
    """
    torch.ops.amended_darts.release_workspace()

"""``Branch``: one candidate of a mixed op in plain PyTorch, on the weights of the module it is taken from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from . import reference
from .candidates import CANDIDATES

if TYPE_CHECKING:
    from .modules import _Mixed

__all__ = ["Branch"]


class Branch(nn.Module):
    """One candidate of a mixed op in plain PyTorch: maps [N, C, H, W] to [N, C', ceil(H/stride), ceil(W/stride)].

    Shares convolution weights, BatchNorm arguments and running statistics with the module it was taken from, and
    updates the statistics in training as that module does.
    """

    def __init__(self, mixed: _Mixed, name: str, edge: int) -> None:
        super().__init__()
        if name not in mixed._names:
            raise ValueError(f"no candidate '{name}' here; expected one of {', '.join(mixed._names)}")
        self.candidate = CANDIDATES[name]
        self.params = (
            nn.ParameterList(mixed._per_edge(mixed.params)[edge].get_submodule(name).parameters())
            if (self.candidate.param_shapes(mixed.channels, mixed.stride))
            else nn.ParameterList()
        )
        self.train(mixed.training)
        # In a tuple, so that the owner does not become a submodule of its own branch.
        self._owner = (mixed,)
        before = mixed._table[: mixed._names.index(name)]
        first = sum(c.num_norms(mixed.stride, mixed.pool_norm) for c in before)
        rows = slice(first, first + self.candidate.num_norms(mixed.stride, mixed.pool_norm))
        # This candidate's rows [B_k, C'] of a BatchNorm argument.
        self._rows = rows if mixed.running_mean.dim() == 2 else (edge, rows)

    def norms(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Running mean and variance and, with affine, weight and bias of this candidate's BatchNorms: views, [B, C]."""
        (owner,) = self._owner
        weight, bias = (None if t is None else t[self._rows] for t in (owner.bn_weight, owner.bn_bias))
        return owner.running_mean[self._rows], owner.running_var[self._rows], weight, bias

    def forward(self, x: Tensor) -> Tensor:
        (owner,) = self._owner
        mean, var, weight, bias = self.norms()
        given = (None, None) if self.training else (mean, var)
        norms = reference.Norms(given[0], given[1], weight, bias, owner.eps)
        out = reference.branch(self.candidate, x, list(self.params), norms, owner.stride, owner.pool_norm)
        if self.training and norms.mean:
            with torch.no_grad():
                count = out.numel() // owner.out_channels
                mean.lerp_(torch.stack(norms.mean).to(mean.dtype), owner.momentum)
                var.lerp_((torch.stack(norms.var) * (count / (count - 1))).to(var.dtype), owner.momentum)
        return out

"""``MixedOp`` and ``MixedEdges``: modules that own the convolution weights and running statistics of mixed ops."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from . import reference
from ._checks import accumulate_dtype
from .branch import Branch
from .candidates import CANDIDATES, DARTS, Candidate

__all__ = ["Branch", "MixedEdges", "MixedOp"]

#: Makes a module for one edge from (channels, stride); it maps [N, C, H, W] to what the edge's other candidates give.
Factory = Callable[[int, int], nn.Module]


def _conv_weight(shape: Sequence[int]) -> nn.Parameter:
    """A convolution weight with the initial values that ``nn.Conv2d`` gives it."""
    weight = nn.Parameter(torch.empty(*shape))
    if weight.numel() > 0:  # FactorizedReduce of one channel: its first half has no filters
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
    return weight


@torch.compiler.assume_constant_result
def _allow_tf32() -> bool:
    """PyTorch's setting for convolutions; a compiled graph keeps the one it was compiled under."""
    return torch.backends.cudnn.conv.fp32_precision == "tf32"  # type: ignore[attr-defined]


class _Mixed(nn.Module):
    """What ``MixedOp`` and ``MixedEdges`` share; ``edges`` is None where there is no edge axis."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        channels: int,
        edges: int | None,
        stride: int,
        candidates: Sequence[str | Factory],
        implementation: str,
        recompute: bool,
        affine: bool,
        pool_norm: bool,
        eps: float,
        momentum: float,
        out_channels: int | None,
    ) -> None:
        super().__init__()
        if channels < 1 or (edges is not None and edges < 1):
            raise ValueError(f"channels and edges must be positive, got channels={channels} and edges={edges}")
        out_channels = channels if out_channels is None else out_channels
        if out_channels < 1:
            raise ValueError(f"out_channels must be positive, got {out_channels}")
        if stride not in (1, 2):
            raise ValueError(f"stride must be 1 or 2, got {stride}")
        if implementation not in ("fused", "reference"):
            raise ValueError(f"implementation must be 'fused' or 'reference', got {implementation!r}")
        self.channels, self.out_channels, self.stride = channels, out_channels, stride
        self.implementation, self.recompute = implementation, recompute
        self.pool_norm, self.eps, self.momentum = pool_norm, eps, momentum
        self.candidates = tuple(
            c if isinstance(c, str) else getattr(c, "__name__", type(c).__name__) for c in candidates
        )
        self._named = tuple(k for k, c in enumerate(candidates) if isinstance(c, str))
        self._names = tuple(c for c in candidates if isinstance(c, str))
        unknown = [name for name in self._names if name not in CANDIDATES]
        if unknown or len(candidates) == 0:
            what = f"unknown candidate '{unknown[0]}'" if unknown else "no candidate"
            raise ValueError(f"{what} in candidates; expected names among {', '.join(CANDIDATES)}, or factories")
        if len(set(self.candidates)) < len(self.candidates):
            raise ValueError(f"candidates must differ from each other, got {', '.join(self.candidates)}")
        self._table: list[Candidate] = [CANDIDATES[name] for name in self._names]
        keeps = [c.name for c in self._table if not c.sets_channels(stride)]
        if out_channels != channels and keeps:
            raise ValueError(
                f"out_channels must be channels = {channels} where '{keeps[0]}' is among the candidates "
                f"(at stride {stride} it keeps the channels), got {out_channels}"
            )
        shapes = {c.name: c.param_shapes(channels, stride, out_channels) for c in self._table}

        def convolutions() -> nn.ModuleDict:
            return nn.ModuleDict({n: nn.ParameterList(map(_conv_weight, s)) for n, s in shapes.items() if s})

        factories = {str(k): c for k, c in enumerate(candidates) if not isinstance(c, str)}

        def modules() -> nn.ModuleDict:
            return nn.ModuleDict({k: factory(channels, stride) for k, factory in factories.items()})

        norms: tuple[int, ...] = (sum(c.num_norms(stride, pool_norm) for c in self._table), out_channels)
        if edges is None:
            self.params: nn.Module = convolutions()
            self.custom: nn.Module = modules()
        else:
            self.params = nn.ModuleList(convolutions() for _ in range(edges))
            self.custom = nn.ModuleList(modules() for _ in range(edges if factories else 0))
            norms = (edges, *norms)
        self.register_buffer("running_mean", torch.zeros(norms))
        self.register_buffer("running_var", torch.ones(norms))
        self.bn_weight = nn.Parameter(torch.ones(norms)) if affine else None
        self.bn_bias = nn.Parameter(torch.zeros(norms)) if affine else None

    def _per_edge(self, modules: nn.Module) -> list[nn.ModuleDict]:
        return [modules] if isinstance(modules, nn.ModuleDict) else list(modules.children())  # type: ignore[arg-type]

    def convolution_weights(self) -> list[Tensor]:
        """``params`` of the operator: edge by edge, candidate by candidate, in forward order."""
        return [
            weight
            for edge in self._per_edge(self.params)
            for candidate in self._table
            if candidate.name in edge
            for weight in edge[candidate.name].parameters()
        ]

    def _sums(self, x: Tensor, weights: Tensor) -> list[Tensor]:
        """The outputs for weights [E, K] or [E, N, K]."""
        outputs = self._named_sums(x, weights) if self._names else []
        for edge, modules in enumerate(self._per_edge(self.custom)):
            for k, module in modules.items():
                weight = weights[edge, ..., int(k)]
                term = (weight.view(-1, 1, 1, 1) if weight.dim() else weight) * module(x)
                if edge < len(outputs):
                    outputs[edge] = outputs[edge] + term
                else:
                    outputs.append(term)
        return outputs

    def _named_sums(self, x: Tensor, weights: Tensor) -> list[Tensor]:
        if len(self._named) < len(self.candidates):
            weights = weights[..., list(self._named)]
        given = (None, None) if self.training else (self.running_mean, self.running_var)
        running_mean, running_var, bn_weight, bn_bias = (
            t.unsqueeze(0) if t is not None and t.dim() == 2 else t for t in (*given, self.bn_weight, self.bn_bias)
        )
        fused = self.implementation == "fused"
        mixed_edges = torch.ops.amended_darts.mixed_edges if fused else reference.mixed_edges
        outputs, mean, var, _ = mixed_edges(
            x,
            weights.to(accumulate_dtype(x)),
            self.convolution_weights(),
            self._names,
            self.stride,
            running_mean,
            running_var,
            bn_weight,
            bn_bias,
            self.eps,
            self.pool_norm,
            self.recompute,
            _allow_tf32(),
        )
        if self.training and self.running_mean.numel() > 0 and x.shape[0] > 0:
            with torch.no_grad():
                count = outputs[0].numel() // self.out_channels
                unbiased = var * (count / (count - 1))
                self.running_mean.lerp_(mean.view_as(self.running_mean).to(self.running_mean.dtype), self.momentum)
                self.running_var.lerp_(unbiased.view_as(self.running_var).to(self.running_var.dtype), self.momentum)
        return list(outputs)

    def extra_repr(self) -> str:
        changed = f"out_channels={self.out_channels}, " if self.out_channels != self.channels else ""
        return (
            f"channels={self.channels}, {changed}stride={self.stride}, candidates=({', '.join(self.candidates)}), "
            f"implementation={self.implementation!r}, recompute={self.recompute}"
        )


class MixedEdges(_Mixed):
    """E mixed ops that leave one state: ``forward(x, weights)`` gives their E outputs.

    The edges share x, its ReLU, its pools and their statistics, and one set of kernels. In training BatchNorm uses
    batch statistics and updates ``running_mean`` and ``running_var`` as ``nn.BatchNorm2d`` does (momentum 0.1, unbiased
    variance); in evaluation it uses the running ones.

    Args:
        channels: C of x and, unless ``out_channels`` is given, of the outputs.
        edges: E.
        stride: 1 or 2.
        candidates: K names of the candidate table, or factories ``(channels, stride) -> nn.Module`` that run as they
            are and join the same sum; the order is that of ``weights``.
        implementation: "fused" (the compiled operator) or "reference" (plain PyTorch).
        recompute: compute the branches again in backward instead of saving their outputs.
        affine: BatchNorm with learnable weight and bias.
        pool_norm: BatchNorm after the pools.
        eps, momentum: of BatchNorm.
        out_channels: C' of the outputs; other than C only where every named candidate sets the channels:
            ``nor_conv_*``, and ``skip_connect`` at stride 2. Factories see to theirs.

    State dict: ``params.<edge>.<candidate>.<i>``, ``running_mean`` and ``running_var`` [E, B, C'], with ``affine`` also
    ``bn_weight`` and ``bn_bias``; modules made by factories under ``custom.<edge>.<k>``.

    Shapes: x [N, C, H, W]; weights [E, K] or, one row per sample, [E, N, K], used as given; outputs
    E x [N, C', ceil(H/stride), ceil(W/stride)].

    Raises:
        ValueError: an argument of the constructor that is out of its range; the sentence names it.
        RuntimeError: at a call whose tensors do not fit; the sentence names the argument.
    """

    def __init__(
        self,
        channels: int,
        edges: int,
        stride: int = 1,
        candidates: Sequence[str | Factory] = DARTS,
        *,
        implementation: str = "fused",
        recompute: bool = True,
        affine: bool = False,
        pool_norm: bool = True,
        eps: float = 1e-5,
        momentum: float = 0.1,
        out_channels: int | None = None,
    ) -> None:
        settings = (implementation, recompute, affine, pool_norm, eps, momentum, out_channels)
        super().__init__(channels, edges, stride, candidates, *settings)
        self.edges = edges

    def forward(self, x: Tensor, weights: Tensor) -> list[Tensor]:
        if weights.dim() not in (2, 3) or weights.shape[0] != self.edges or weights.shape[-1] != len(self.candidates):
            raise RuntimeError(
                f"weights must be [E, K] or [E, N, K] with E = {self.edges} edges and K = {len(self.candidates)} "
                f"candidates, got {list(weights.shape)}"
            )
        return self._sums(x, weights)

    def branch(self, name: str, edge: int = 0) -> Branch:
        """One candidate of one edge as a module of its own that shares weights and running statistics.

        Raises:
            ValueError: a name that is not among the named candidates, an edge that does not exist.
        """
        if not 0 <= edge < self.edges:
            raise ValueError(f"edge must be in 0..{self.edges - 1}, got {edge}")
        return Branch(self, name, edge)

    def extra_repr(self) -> str:
        return f"edges={self.edges}, " + super().extra_repr()


class MixedOp(_Mixed):
    """One mixed op, Σ_k weights[k] · o_k(x): :class:`MixedEdges` for a single edge, without the edge axis.

    Equivalent to ``sum(w * op(x) for w, op in zip(weights, ops))`` over the candidate modules of the public DARTS code.
    Arguments are those of :class:`MixedEdges` without ``edges``.

    State dict: ``params.<candidate>.<i>``, ``running_mean`` and ``running_var`` [B, C'], with ``affine`` also
    ``bn_weight`` and ``bn_bias``; modules made by factories under ``custom.<k>``.

    Shapes: x [N, C, H, W]; weights [K] or, one row per sample, [N, K]; output [N, C', ceil(H/stride), ceil(W/stride)].
    """

    def __init__(
        self,
        channels: int,
        stride: int = 1,
        candidates: Sequence[str | Factory] = DARTS,
        *,
        implementation: str = "fused",
        recompute: bool = True,
        affine: bool = False,
        pool_norm: bool = True,
        eps: float = 1e-5,
        momentum: float = 0.1,
        out_channels: int | None = None,
    ) -> None:
        settings = (implementation, recompute, affine, pool_norm, eps, momentum, out_channels)
        super().__init__(channels, None, stride, candidates, *settings)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        if weights.dim() not in (1, 2) or weights.shape[-1] != len(self.candidates):
            raise RuntimeError(
                f"weights must be [K] or [N, K] with K = {len(self.candidates)} candidates, got {list(weights.shape)}"
            )
        return self._sums(x, weights.unsqueeze(0))[0]

    def branch(self, name: str) -> Branch:
        """One candidate as a module of its own that shares weights and running statistics.

        Raises:
            ValueError: a name that is not among the named candidates.
        """
        return Branch(self, name, 0)

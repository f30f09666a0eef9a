"""One super-network in the forms that are compared: plain PyTorch, what people do to save memory there, and fused."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from amended_darts.benchmark.cases import Case
from amended_darts.benchmark.names import VARIANTS
from amended_darts.spaces import CUSTOM
from amended_darts.supernet import SuperNet
from amended_darts.supernet.edges import FACTORIES, StateEdges
from amended_darts_ext import MixedEdges

Call = Callable[[nn.Module, Tensor, Tensor], list[Tensor]]  # an edge's module, its input, its weights [1, K]


class PerEdge(nn.Module):
    """The edges that leave a state as one module each, run by ``call``: a stand-in for ``MixedEdges``."""

    def __init__(self, edges: list[MixedEdges], call: Call) -> None:
        super().__init__()
        self.edges = nn.ModuleList(edges)
        self.call = call

    def forward(self, x: Tensor, weights: Tensor) -> list[Tensor]:
        return [self.call(edge, x, weights[row : row + 1])[0] for row, edge in enumerate(self.edges)]


def build(case: Case, variant: str, backend: str = "inductor") -> SuperNet:
    """The network of a case, on torch's current default device.

    Args:
        variant: one of ``VARIANTS``.
        backend: of torch.compile, for the variant "compile".

    Raises:
        InputError: the case does not exist.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    fused = variant.startswith("fused")
    network = SuperNet(
        case.found(),
        case.classes,
        3,
        cells=case.cells,
        channels=case.channels,
        form=case.form,
        implementation="fused" if fused else "reference",
        recompute=variant != "fused, kept",
    )
    if variant in ("checkpoint", "compile"):
        call = _checkpointed if variant == "checkpoint" else compiled_edge(backend)
        for module in list(network.modules()):
            if isinstance(module, StateEdges):
                module.mixed = _per_edge(module, call)  # type: ignore[assignment]
    for parameter in network.parameters():
        if parameter.dim() == 4:  # Module.to(memory_format=...) does not take fake tensors
            parameter.data = parameter.data.contiguous(memory_format=memory_format(variant))
    return network


def memory_format(variant: str) -> torch.memory_format:
    """That of the images and of the convolutions' weights."""
    return torch.channels_last if variant == "channels_last" else torch.contiguous_format


def _per_edge(state: StateEdges, call: Call) -> PerEdge:
    mixed = state.mixed
    operators: list[Any] = [CUSTOM[name] if name in CUSTOM else FACTORIES.get(name, name) for name in state.candidates]
    settings: dict[str, Any] = {"implementation": "reference", "pool_norm": mixed.pool_norm}
    edges = [MixedEdges(mixed.channels, 1, mixed.stride, operators, **settings) for _ in range(mixed.edges)]
    return PerEdge(edges, call)


def _checkpointed(edge: nn.Module, x: Tensor, weights: Tensor) -> list[Tensor]:
    return checkpoint(edge, x, weights, use_reentrant=False)


@functools.cache
def compiled_edge(backend: str) -> Call:
    """``torch.compile`` of one edge: edges of one shape share their code."""
    torch._dynamo.config.recompile_limit = 10_000  # one entry for every shape; beyond the limit it would run eagerly

    def edge(module: nn.Module, x: Tensor, weights: Tensor) -> list[Tensor]:
        return module(x, weights)

    return torch.compile(edge, dynamic=False, backend=backend)

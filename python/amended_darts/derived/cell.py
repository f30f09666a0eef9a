"""One cell of a derived network: the kept edges of its genotype, one operator each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from amended_darts import genotype
from amended_darts.derived.operators import FactorizedReduce, ReLUConvNorm, drop_path, make_operator
from amended_darts.spaces import INPUTS


class Cell(nn.Module):
    """Reads the two cells before it and concatenates its computed states.

    Modules are ``preprocess0``, ``preprocess1`` and, for the edge from state ``input`` to state ``node``,
    ``edges.<node>_<input>``.

    Args:
        found: the cell of the genotype.
        channels_before_last, channels_last: of the two inputs.
        channels: of every state.
        halved_before: the last cell was a reduction, so that the input before it has twice the size.
        affine, pool_norm: of the operators (``make_operator``).
    """

    def __init__(
        self,
        found: genotype.Cell,
        channels_before_last: int,
        channels_last: int,
        channels: int,
        halved_before: bool,
        affine: bool,
        pool_norm: bool,
    ) -> None:
        super().__init__()
        first = FactorizedReduce if halved_before else ReLUConvNorm
        self.preprocess0 = first(channels_before_last, channels, affine)
        self.preprocess1 = ReLUConvNorm(channels_last, channels, affine)
        self.nodes = found.nodes
        self.wiring = [(edge.node, edge.input) for edge in found.edges]
        self.edges = nn.ModuleDict(
            {
                f"{edge.node}_{edge.input}": make_operator(
                    edge.op, channels, 2 if found.reduction and edge.input < INPUTS else 1, affine, pool_norm
                )
                for edge in found.edges
            }
        )

    def forward(self, before_last: Tensor, last: Tensor, drop: float = 0.0) -> Tensor:
        """``drop``: drop-path probability of every operator but the identity; applied in training alone."""
        states: list[Tensor] = [self.preprocess0(before_last), self.preprocess1(last)]
        for node in range(INPUTS, INPUTS + self.nodes):
            outputs = []
            for target, source in self.wiring:
                if target != node:
                    continue
                operator = self.edges[f"{target}_{source}"]
                output = operator(states[source])
                if self.training and not isinstance(operator, nn.Identity):
                    output = drop_path(output, drop)
                outputs.append(output)
            states.append(sum(outputs[1:], outputs[0]))
        return torch.cat(states[INPUTS:], dim=1)

"""The cells of a derived network: the kept edges of its genotype, one operator each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from amended_darts import genotype
from amended_darts.derived.operators import FactorizedReduce, ReLUConvNorm, drop_path, make_operator


class States(nn.Module):
    """The graph of a cell; the operator from state ``input`` to state ``node`` is ``edges.<node>_<input>``.

    Args:
        found: the cell of the genotype.
        channels: of every state.
        affine, pool_norm: of the operators (``make_operator``).
    """

    def __init__(self, found: genotype.Cell, channels: int, affine: bool, pool_norm: bool) -> None:
        super().__init__()
        self.found = found
        self.edges = nn.ModuleDict(
            {
                f"{edge.node}_{edge.input}": make_operator(
                    edge.op, channels, 2 if found.reduction and edge.input < found.inputs else 1, affine, pool_norm
                )
                for edge in found.edges
            }
        )

    def compute(self, given: list[Tensor], drop: float) -> list[Tensor]:
        """All states from those that the cell is given.

        ``drop``: drop-path probability of every operator but the identity; applied in training alone.
        """
        states = list(given)
        for node in range(self.found.inputs, self.found.inputs + self.found.nodes):
            outputs = []
            for edge in self.found.edges:
                if edge.node != node:
                    continue
                operator = self.edges[f"{edge.node}_{edge.input}"]
                output = operator(states[edge.input])
                if self.training and not isinstance(operator, nn.Identity):
                    output = drop_path(output, drop)
                outputs.append(output)
            states.append(sum(outputs[1:], outputs[0]))
        return states


class DartsCell(States):
    """Reads the two cells before it and concatenates its computed states.

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
        super().__init__(found, channels, affine, pool_norm)
        first = FactorizedReduce if halved_before else ReLUConvNorm
        self.preprocess0 = first(channels_before_last, channels, affine)
        self.preprocess1 = ReLUConvNorm(channels_last, channels, affine)

    def forward(self, before_last: Tensor, last: Tensor, drop: float = 0.0) -> Tensor:
        states = self.compute([self.preprocess0(before_last), self.preprocess1(last)], drop)
        return torch.cat(states[self.found.inputs :], dim=1)


class NasBench201Cell(States):
    """Reads the cell before it as it is; its output is the last state (arXiv 2001.00326, section 2.2)."""

    def forward(self, before_last: Tensor, last: Tensor, drop: float = 0.0) -> Tensor:
        return self.compute([last], drop)[-1]

"""The controller: owns the architectural parameters α and turns them into the weights a super-network is given."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from amended_darts.genotype import Genotype, Topology, derive
from amended_darts.spaces import Space


class Architecture(nn.Module):
    """α of every group of cells of a space: one row per edge, one number per candidate, initially 1e-3·N(0, 1).

    Rows of edges with fewer candidates than the longest are filled up; the filling has weight zero, always. α stays in
    float32 whatever the network computes in (in bfloat16 the softmax of a fresh α has one single value).

    Args:
        space: the search space.
        cells: number of cells of the network (per-cell spaces have one α per cell); the space's own by default.
        generator: for the initial values; PyTorch's global one by default.
    """

    def __init__(self, space: Space, cells: int | None = None, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.space = space
        self.cells = cells or space.cells
        self.topology: Topology | None = None
        self.alphas = nn.ParameterList()
        for index, group in enumerate(space.groups(self.cells)):
            counts = [len(names) for names in group.candidates]
            padding = torch.arange(max(counts)) >= torch.tensor(counts).unsqueeze(1)  # [E, K]
            alpha = 1e-3 * torch.randn(padding.shape, generator=generator)
            self.alphas.append(nn.Parameter(alpha.masked_fill(padding, 0.0)))
            self.register_buffer(f"_padding_{index}", padding, persistent=False)

    def weights(self, alphas: Iterable[Tensor] | None = None) -> list[Tensor]:
        """Softmax over the candidates of each edge, [E, K] per group; differentiable with respect to α.

        Args:
            alphas: values to use in place of the module's own.
        """
        return [
            alpha.masked_fill(self.get_buffer(f"_padding_{index}").to(alpha.device), -torch.inf).softmax(-1)
            for index, alpha in enumerate(self.alphas if alphas is None else alphas)
        ]

    def keep_edges(self, topology: Topology) -> None:
        """From now on only those edges count: one set of (node, input) per group of cells."""
        self.topology = topology

    def rows(self, group: int) -> list[int]:
        """The rows of a group's α whose edges count."""
        if self.topology is None:
            return list(range(len(self.space.edges)))
        return [row for row, edge in enumerate(self.space.edges) if edge in self.topology[group]]

    @torch.no_grad()
    def entropy(self) -> float:
        """Mean over all edges of the entropy of their softmax weights, in nats (ln K when undecided)."""
        entropies = (torch.special.entr(weights).sum(-1) for weights in self.weights())
        return float(torch.cat([rows[self.rows(group)] for group, rows in enumerate(entropies)]).mean())

    @torch.no_grad()
    def by_operator(self, values: Iterable[Tensor]) -> dict[str, float]:
        """Mean of something for every operator, over the edges that count and offer it.

        Args:
            values: shaped as α, one tensor for each group.
        """
        found: dict[str, list[float]] = {}
        groups = self.space.groups(self.cells)
        for index, rows in enumerate(values):
            for row in self.rows(index):
                for name, value in zip(groups[index].candidates[row], rows[row].tolist(), strict=False):
                    found.setdefault(name, []).append(value)
        return {name: sum(each) / len(each) for name, each in found.items()}

    @torch.no_grad()
    def genotype(self, alphas: Iterable[Tensor] | None = None) -> Genotype:
        """The architecture that the softmax rule reads off the current α, or off ``alphas``."""
        return derive(self.space, self.cells, [weights.tolist() for weights in self.weights(alphas)], self.topology)

"""A super-network with all that a search has beside it, and the search's own two steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from amended_darts.architecture import Architecture
from amended_darts.benchmark.cases import Case
from amended_darts.benchmark.variants import build, memory_format
from amended_darts.hypergradient import Gradient
from amended_darts.precision import Precision
from amended_darts.search_steps import alpha_step, weight_step


class Steps:
    """Network, α, both optimisers and a training and a validation batch, on torch's current default device.

    Args:
        case: the network and the size of its batches.
        variant: one of ``VARIANTS``.
        backend: of torch.compile, for the variant "compile".

    Raises:
        InputError: the case does not exist.
    """

    def __init__(self, case: Case, variant: str, backend: str = "inductor") -> None:
        self.case = case
        self.network = build(case, variant, backend)
        self.architecture = Architecture(case.found(), case.cells)
        self.weight_optimizer = torch.optim.SGD(self.network.parameters(), 0.025, 0.9, weight_decay=3e-4)
        self.alpha_optimizer = torch.optim.Adam(self.architecture.parameters(), 3e-4, (0.5, 0.999), weight_decay=1e-3)
        self.train, self.val = (self._batch(memory_format(variant)) for _ in range(2))
        # float32 throughout, on devices that autocast does not know too
        self._precision = Precision("off", torch.device("cpu"))

    def _batch(self, format: torch.memory_format) -> tuple[Tensor, Tensor]:
        case = self.case
        images = torch.randn(case.batch, 3, case.size, case.size).contiguous(memory_format=format)
        return images, torch.randint(case.classes, (case.batch,))

    def run(self, step: str, gradient: Gradient | None = None) -> None:
        """One step of ``STEPS``, as the search takes it; what it returns and every gradient is dropped.

        Args:
            gradient: takes every derivative, as for ``alpha_step``.
        """
        if step == "weight":
            settings: dict[str, Any] = {"clip": 5.0, "precision": self._precision, "gradient": gradient}
            weight_step(self.network, self.architecture, self.weight_optimizer, self.train, **settings)
        else:
            both = (self.train, self.val)
            modules = (self.network, self.architecture)
            alpha_step(*modules, self.alpha_optimizer, *both, "amended", {"rho": 1.0}, gradient=gradient)

    def settle(self) -> None:
        """Makes what the optimisers keep from their first step on."""
        for optimizer in (self.weight_optimizer, self.alpha_optimizer):
            for parameter in optimizer.param_groups[0]["params"]:
                parameter.grad = torch.zeros_like(parameter)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def arguments(self) -> tuple[Tensor, list[Tensor]]:
        """What the network is given in a weight step: images, and weights without gradient."""
        with torch.no_grad():
            return self.train[0], self.architecture.weights()

    def tensors(self) -> list[Tensor]:
        """Everything that lives between steps."""
        states = [
            value
            for optimizer in (self.weight_optimizer, self.alpha_optimizer)
            for state in optimizer.state.values()
            for value in state.values()
            if isinstance(value, Tensor)
        ]
        modules = (self.network, self.architecture)
        owned = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
        return [*owned, *states, *self.train, *self.val]

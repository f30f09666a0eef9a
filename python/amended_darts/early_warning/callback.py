"""The callback that measures the signs at the end of every epoch and lets the stopping rules decide."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from amended_darts import randomness
from amended_darts.accumulation import Batch
from amended_darts.architecture import Architecture
from amended_darts.callbacks import Callback
from amended_darts.config import SearchConfig
from amended_darts.early_warning.rules import parse_rules
from amended_darts.genotype import Genotype
from amended_darts.hypergradient import Loss, alpha_eigenvalue, frozen_buffers
from amended_darts.metrics import finite
from amended_darts.search_state import SearchState
from amended_darts.search_steps import losses

SKIP = "skip_connect"


class EarlyWarning(Callback):
    """Adds to each epoch's metrics ``skip_share`` (mean softmax weight of skip connections over the edges that offer
    one; null where none does), ``skips`` (how many each cell, reduction cells aside, would keep) and, where asked for,
    ``alpha_eigenvalue``; then asks the rules of ``--stop``."""

    def __init__(self, config: SearchConfig) -> None:
        self.rules = [] if config.stop is None else parse_rules(config.stop)
        self.eigenvalue = config.eigenvalue or any(rule.needs_eigenvalue for rule in self.rules)

    def on_measure(self, state: SearchState, metrics: dict[str, Any]) -> None:
        metrics["skip_share"] = skip_share(state.architecture)
        metrics["skips"] = skips(state.architecture, state.architecture.genotype())
        if self.eigenvalue:
            metrics["alpha_eigenvalue"] = finite(measure_eigenvalue(state))
        # Before α moves, cells are drawn at random and the weights alone change the curvature.
        lines = [*state.history.epochs, metrics][state.config.alpha_start_epoch :]
        if len(lines) < state.config.stop_from or state.stopped is not None:
            return
        for rule in self.rules:
            verdict = rule(lines)
            if verdict is not None:
                state.stop(verdict.reason, verdict.epoch)
                return


def skip_share(architecture: Architecture) -> float | None:
    """Mean softmax weight of skip_connect over all edges that offer it; None where none does."""
    return architecture.by_operator(architecture.weights()).get(SKIP)


def skips(architecture: Architecture, genotype: Genotype) -> dict[str, int]:
    """How many skip connections each cell keeps, reduction cells aside, by the group's name."""
    groups = architecture.space.groups(architecture.cells)
    return {
        group.name: sum(edge.op == SKIP for edge in cell.edges)
        for group, cell in zip(groups, genotype.cells, strict=True)
        if not group.reduction
    }


def measure_eigenvalue(state: SearchState) -> float:
    """The dominant eigenvalue of ∂²L_val/∂α² on the first images of α's half, the same after every epoch and without
    augmentation; with batch statistics, as in the α steps. The search goes on as if it had not been measured."""
    network, architecture, config = state.network, state.architecture, state.config
    batches = list(state.alpha_stream.sample(config.eigenvalue_images or config.batch_size))
    current: list[Batch] = batches[:1]

    def loss() -> Tensor:
        images, labels, share = state.parts.of(current[0])
        return share * losses(network(images, architecture.weights()), labels)[1]

    def gradient(scalar: Loss, inputs: Any) -> list[Tensor]:
        """Averaged over the batches, one in memory at a time."""
        total: list[Tensor] = []
        for batch in batches:
            current[0] = batch
            part = state.gradient(scalar, inputs)
            total = [a + b for a, b in zip(total, part, strict=True)] if total else part
        return [part / len(batches) for part in total]

    training = network.training
    network.train()
    try:
        with randomness.preserved(), frozen_buffers(network):
            return alpha_eigenvalue(
                loss,
                list(network.parameters()),
                list(architecture.parameters()),
                products=config.eigenvalue_products,
                gradient=gradient,
            )
    except FloatingPointError:
        return float("nan")
    finally:
        network.train(training)

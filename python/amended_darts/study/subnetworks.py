"""How good sub-networks are with the weights of the super-network, while it is searched.

The abstract of arXiv 1910.11831 says that under DARTS the super-network gets better while sub-networks sampled from it
get worse; this measures both.
"""

from __future__ import annotations

from statistics import mean, pstdev
from typing import Any

import torch
from torch import Tensor

from amended_darts import randomness
from amended_darts.architecture import Architecture
from amended_darts.callbacks import Callback
from amended_darts.data.generators import generator
from amended_darts.derived import DerivedNetwork, inherit_weights
from amended_darts.genotype import Genotype
from amended_darts.retraining.evaluation import evaluate
from amended_darts.search_network import network_settings
from amended_darts.search_state import SearchState

_PURPOSE = 1201  # of the random numbers: none that the search draws
_NORM_IMAGES = 512


class SubNetworks(Callback):
    """Adds to an epoch's metrics, all on the held-out images and with the weights of the super-network:

    - ``operator_weights``: mean softmax weight by operator, in every epoch;
    - ``discretised_accuracy``: of the found architecture;
    - ``sampled_accuracy`` and ``sampled_deviation``: mean and deviation over architectures drawn from softmax(α).

    Statistics of batch normalisation are those of the sub-network, on images that w learns from: those of the
    super-network, in which every operator's input is another sum, say little about a sub-network. The search goes on as
    if nothing had been measured.

    Args:
        every: epochs from one measurement to the next; the last epoch is measured too.
        samples, last_samples: architectures to draw, and at the last epoch.
    """

    def __init__(self, every: int, samples: int = 8, last_samples: int = 32) -> None:
        self.every = every
        self.samples = samples
        self.last_samples = last_samples

    def on_measure(self, state: SearchState, metrics: dict[str, Any]) -> None:
        metrics["operator_weights"] = state.architecture.by_operator(state.architecture.weights())
        epoch = state.epoch + 1
        last = epoch == state.config.epochs
        if not last and epoch % self.every:
            return
        with randomness.preserved():
            random = generator(state.config.seed, _PURPOSE, epoch)
            metrics["discretised_accuracy"] = inherited_accuracy(state, state.architecture.genotype())
            drawn = [
                inherited_accuracy(state, sample_genotype(state.architecture, random))
                for _ in range(self.last_samples if last else self.samples)
            ]
            metrics["sampled_accuracy"], metrics["sampled_deviation"] = mean(drawn), pstdev(drawn)


@torch.no_grad()
def sample_genotype(architecture: Architecture, generator: torch.Generator) -> Genotype:
    """An architecture drawn from softmax(α): every edge's operator with its softmax weight as the probability.

    Drawn as the largest of α + Gumbel noise (where a space keeps some edges of a node alone, those with the largest),
    by the rule that reads an architecture off α.
    """
    noisy: list[Tensor] = []
    for alpha in architecture.alphas:
        uniform = torch.rand(alpha.shape, generator=generator, dtype=torch.float64).clamp_min(1e-30)
        noisy.append((alpha.double().cpu() - (-uniform.log()).log()).to(alpha.device))
    return architecture.genotype(noisy)


@torch.no_grad()
def inherited_accuracy(state: SearchState, genotype: Genotype) -> float:
    """Held-out accuracy of a sub-network with the weights of the super-network and batch statistics of its own."""
    settings = network_settings(state.config)
    del settings["drop_path"]
    if genotype.cells[0].inputs == 1:  # NAS-Bench-201 has a stem of its own
        settings["form"] = None
    network = DerivedNetwork(genotype, len(state.data.classes), len(state.data.mean), **settings).to(state.device)
    inherit_weights(network, state.network)
    torch.optim.swa_utils.update_bn((images for images, _ in state.weight_stream.sample(_NORM_IMAGES)), network)
    top1 = evaluate(network, state.data, 4 * state.config.batch_size, state.device)["top1"]
    return float(top1 or 0.0)

"""Which training labels are wrong? Learns a weight for each example so that a small clean set is predicted well.

    min_α L_clean(w*(α))   with   w*(α) = argmin_w Σ_i sigmoid(α_i)·ℓ_i(w)

Handwritten digits, of which two labels in five are replaced by wrong ones; needs scikit-learn. L_clean does not depend
on α directly, so that the whole gradient is the estimator's second term. Run: python examples/reweighting.py
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from amended_darts.hypergradient import amended, neumann
from sklearn.datasets import load_digits
from torch import Tensor, nn

ESTIMATORS = {
    "neumann": partial(neumann, terms=3, lr=0.1, weight_decay=1e-3),
    "amended": partial(amended, eta=1.0),
}


@dataclass
class Outcome:
    """What was learned, beside training without weights.

    Attributes:
        plain_accuracy, accuracy: on held-out digits, trained on all examples alike and with the learned weights.
        clean_weight, noisy_weight: mean learned weight of examples with right and with wrong labels, 0..1.
    """

    plain_accuracy: float
    accuracy: float
    clean_weight: float
    noisy_weight: float


def main(estimator: str = "neumann", steps: int = 400, seed: int = 0) -> Outcome:
    """Trains twice, without and with learned weights, for ``steps`` steps each."""
    torch.manual_seed(seed)
    digits = load_digits()
    order = torch.randperm(len(digits.target))
    x = torch.tensor(digits.data, dtype=torch.float32)[order] / 16
    truth = torch.tensor(digits.target)[order]
    train, clean, heldout = slice(0, 800), slice(800, 1000), slice(1000, None)
    wrong = torch.rand(800) < 0.4
    labels = (truth[train] + wrong * torch.randint(1, 10, (800,))) % 10

    def run(learn: bool) -> tuple[float, Tensor]:
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
        alpha = nn.Parameter(torch.zeros(800))  # one per example: its weight is sigmoid(alpha)
        weights = list(network.parameters())
        w_optimizer = torch.optim.SGD(weights, lr=0.3, momentum=0.9, weight_decay=1e-3)
        alpha_optimizer = torch.optim.Adam([alpha], lr=0.1)

        def train_loss() -> Tensor:
            losses = F.cross_entropy(network(x[train]), labels, reduction="none")
            return (2 * alpha.sigmoid() * losses).mean()

        def clean_loss() -> Tensor:
            return F.cross_entropy(network(x[clean]), truth[clean])

        for _ in range(steps):
            if learn:
                (alpha.grad,) = ESTIMATORS[estimator](train_loss, clean_loss, weights, [alpha])
                alpha_optimizer.step()
            w_optimizer.zero_grad()
            train_loss().backward(inputs=weights)
            w_optimizer.step()
        with torch.no_grad():
            accuracy = (network(x[heldout]).argmax(1) == truth[heldout]).float().mean().item()
        return accuracy, alpha.detach().sigmoid()

    plain, _ = run(learn=False)
    learned, weight = run(learn=True)
    return Outcome(plain, learned, weight[~wrong].mean().item(), weight[wrong].mean().item())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Learns which training labels are wrong.")
    parser.add_argument("--estimator", choices=list(ESTIMATORS), default="neumann")
    parser.add_argument("--steps", type=int, default=400, help="training steps of each of the two runs")
    parser.add_argument("--seed", type=int, default=0)
    outcome = main(**vars(parser.parse_args()))
    print(f"accuracy on held-out digits: {outcome.plain_accuracy:.3f} plain, {outcome.accuracy:.3f} with weights")
    print(f"mean weight: {outcome.clean_weight:.3f} where the label is right, {outcome.noisy_weight:.3f} where wrong")

"""One α step and one w step of the bilevel problem min_α L_val(w*(α), α), w* = argmin_w L_train(w, α)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amended_darts.architecture import Architecture
from amended_darts.estimators import find_estimator
from amended_darts.hypergradient import Gradient, frozen_buffers, gradient

Batch = tuple[Tensor, Tensor]  # images [N, C, H, W], labels [N]
_gradient = gradient


def alpha_step(
    network: nn.Module,
    architecture: Architecture,
    optimizer: torch.optim.Optimizer,
    train: Batch,
    val: Batch,
    estimator: str,
    settings: dict[str, Any],
    gradient: Gradient = _gradient,
) -> dict[str, Tensor]:
    """Moves α along the estimator's gradient; w and the running statistics stay as they are. Every derivative is taken
    by ``gradient``.

    Returns 0-d tensors: alpha_loss and alpha_accuracy on ``val`` (of unrolled: after its step); gradient_norm; of the
    second term second_ratio, ‖second term‖ / ‖first‖ as they were added up, second_unscaled_ratio, the same before eta
    or rho scales it (their quotient is the eta that a rho amounts to), and second_cosine, between the two (0 without a
    second term).

    Raises:
        FloatingPointError: a gradient that is not finite.
    """
    measured: dict[str, Tensor] = {}

    def loss(batch: Batch) -> Tensor:
        return F.cross_entropy(network(batch[0], architecture.weights()), batch[1])

    def val_loss() -> Tensor:
        logits = network(val[0], architecture.weights())
        value = F.cross_entropy(logits, val[1])
        if not measured:  # some estimators ask more than once, at other points
            measured.update(alpha_loss=value.detach(), alpha_accuracy=accuracy(logits, val[1]))
        return value

    alphas = list(architecture.parameters())
    report: dict[str, Any] = {}
    with frozen_buffers(network):  # running statistics belong to the w step
        gradients = find_estimator(estimator)(
            lambda: loss(train),
            val_loss,
            list(network.parameters()),
            alphas,
            gradient=gradient,
            report=report,
            **settings,
        )
    for alpha, estimate in zip(alphas, gradients, strict=True):
        alpha.grad = estimate
    measured["gradient_norm"] = torch.stack([estimate.norm() for estimate in gradients]).norm()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    measured.update(second_ratio=report["ratio"], second_cosine=report["cosine"])
    measured["second_unscaled_ratio"] = report["direction_norm"] / report["first_norm"]
    return measured


def weight_step(
    network: nn.Module,
    architecture: Architecture,
    optimizer: torch.optim.Optimizer,
    train: Batch,
    clip: float,
    gradient: Gradient = _gradient,
) -> dict[str, Tensor]:
    """One SGD step on w with α held fixed. Returns train_loss, train_accuracy, gradient_norm (unclipped)."""
    measured: dict[str, Tensor] = {}
    with torch.no_grad():
        weights = architecture.weights()

    def loss() -> Tensor:
        logits = network(train[0], weights)
        value = F.cross_entropy(logits, train[1])
        measured.update(train_loss=value.detach(), train_accuracy=accuracy(logits, train[1]))
        return value

    parameters = list(network.parameters())
    for parameter, slope in zip(parameters, gradient(loss, parameters), strict=True):
        parameter.grad = slope
    measured["gradient_norm"] = nn.utils.clip_grad_norm_(parameters, clip).detach()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return measured


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of right answers, 0-d."""
    return (logits.detach().argmax(1) == labels).double().mean()

"""One α step and one w step of the bilevel problem min_α L_val(w*(α), α), w* = argmin_w L_train(w, α)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amended_darts.accumulation import Batch, Parts
from amended_darts.architecture import Architecture
from amended_darts.estimators import find_estimator
from amended_darts.hypergradient import Gradient, frozen_buffers
from amended_darts.precision import Precision


def alpha_step(
    network: nn.Module,
    architecture: Architecture,
    optimizer: torch.optim.Optimizer,
    train: Batch,
    val: Batch,
    estimator: str,
    settings: dict[str, Any],
    parts: Parts | None = None,
    gradient: Gradient | None = None,
    auxiliary: float = 0.0,
) -> dict[str, Tensor]:
    """Moves α along the estimator's gradient; w and the running statistics stay as they are. Always in float32.

    Args:
        settings: of the estimator.
        parts: whose turn it is; the whole batch by default.
        gradient: takes every derivative; ``parts`` by default, or something around it.
        auxiliary: weight of the auxiliary head in the training loss; the validation loss is of the classifier alone.

    Returns 0-d tensors: alpha_loss and alpha_accuracy on ``val`` (of unrolled: after its step); gradient_norm; of the
    second term second_ratio, ‖second term‖ / ‖first‖ as they were added up, second_unscaled_ratio, the same before eta
    or rho scales it (their quotient is the eta that a rho amounts to), and second_cosine, between the two (0 without a
    second term).

    Raises:
        FloatingPointError: a gradient that is not finite.
    """
    parts = parts or Parts()
    first_pass = _FirstPass("alpha", parts)

    def train_loss() -> Tensor:
        images, labels, share = parts.of(train)
        _, _, loss = losses(network(images, architecture.weights()), labels, auxiliary)
        return share * loss

    def val_loss() -> Tensor:
        images, labels, share = parts.of(val)
        logits, loss, _ = losses(network(images, architecture.weights()), labels)
        loss = share * loss
        first_pass.add(loss, logits, labels, share)
        return loss

    alphas = list(architecture.parameters())
    report: dict[str, Any] = {}
    with frozen_buffers(network):  # running statistics belong to the w step
        estimates = find_estimator(estimator)(
            train_loss,
            val_loss,
            list(network.parameters()),
            alphas,
            gradient=gradient or parts,
            report=report,
            **settings,
        )
    for alpha, estimate in zip(alphas, estimates, strict=True):
        alpha.grad = estimate
    measured = first_pass.means
    measured["gradient_norm"] = torch.stack([estimate.norm() for estimate in estimates]).norm()
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
    precision: Precision | None = None,
    parts: Parts | None = None,
    gradient: Gradient | None = None,
    auxiliary: float = 0.0,
) -> dict[str, Tensor]:
    """One SGD step on w with α held fixed. Returns train_loss (of the classifier), train_accuracy, gradient_norm
    (unclipped).

    Args:
        clip: largest norm of the gradient.
        precision: of the forward pass; float32 by default.
        parts, gradient, auxiliary: as for :func:`alpha_step`.

    Raises:
        FloatingPointError: gradients that overflow float16 at every scale of the loss.
    """
    parts = parts or Parts()
    precision = precision or Precision("off", next(network.parameters()).device)
    first_pass = _FirstPass("train", parts)
    with torch.no_grad():
        weights = architecture.weights()

    def loss() -> Tensor:
        images, labels, share = parts.of(train)
        with precision.autocast():
            output = network(images, weights)
        logits, main, total = losses(output, labels, auxiliary)
        first_pass.add(share * main, logits, labels, share)
        return precision.scale(share * total)

    parameters = list(network.parameters())
    for parameter, slope in zip(parameters, (gradient or parts)(loss, parameters), strict=True):
        parameter.grad = slope
    norm = precision.step(optimizer, parameters, clip)
    optimizer.zero_grad(set_to_none=True)
    return {**first_pass.means, "gradient_norm": norm}


def losses(
    output: Tensor | tuple[Tensor, Tensor], labels: Tensor, auxiliary: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """The logits in what a network gives, their cross-entropy, and the whole loss: that plus ``auxiliary`` times the
    cross-entropy of the auxiliary head's logits where there are some."""
    logits, beside = (output, None) if isinstance(output, Tensor) else output
    main = F.cross_entropy(logits.float(), labels)
    if beside is None or auxiliary == 0:
        return logits, main, main
    return logits, main, main + auxiliary * F.cross_entropy(beside.float(), labels)


class _FirstPass:
    """Loss and accuracy of a batch, the first time that its parts are gone through: some estimators ask again, at other
    weights."""

    def __init__(self, name: str, parts: Parts) -> None:
        self.means: dict[str, Tensor] = {}
        self._name = name
        self._left = parts.count

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor, share: float) -> None:
        if self._left == 0:
            return
        self._left -= 1
        values = {"loss": loss.detach(), "accuracy": share * accuracy(logits, labels)}
        for what, value in values.items():
            name = f"{self._name}_{what}"
            self.means[name] = self.means[name] + value if name in self.means else value


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of right answers, 0-d."""
    return (logits.detach().argmax(1) == labels).double().mean()

"""How the architectural parameters α learn: Adam."""

from __future__ import annotations

from dataclasses import dataclass

from amended_darts.options import at_least, not_negative, option, positive, rate


@dataclass(frozen=True)
class AlphaOptions:
    """How the architectural parameters α learn: Adam."""

    alpha_lr: float | None = option(
        None,
        "learning rate of Adam on α",
        "",
        "alpha",
        check=positive("a positive learning rate"),
        unset="0.0003 times the root of --alpha-every",
    )
    alpha_weight_decay: float = option(1e-3, "weight decay (L2) of α", "", "alpha", check=not_negative("0 or more"))
    alpha_beta1: float = option(0.5, "Adam's decay rate of the mean gradient of α", "", "alpha", check=rate())
    alpha_beta2: float = option(0.999, "Adam's decay rate of the mean squared gradient of α", "", "alpha", check=rate())
    alpha_start_epoch: int = option(
        0,
        "epochs at the start in which w alone learns and α stays",
        "epochs",
        "alpha",
        check=not_negative("a number of epochs, 0 or more"),
    )
    alpha_every: int | None = option(
        None,
        "steps of w for one step of α, whose gradient is that of the images of all of them together, batch by batch: "
        "as much computing and memory as with 1, and less noise",
        "steps",
        "alpha",
        check=at_least(1, "step"),
        unset="4 for amended without --eta, else 1",
    )

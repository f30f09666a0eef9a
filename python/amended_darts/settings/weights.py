"""How the network weights w learn: SGD with momentum, a cosine schedule, clipping."""

from __future__ import annotations

from dataclasses import dataclass

from amended_darts.options import at_least, not_negative, option, positive, rate


@dataclass(frozen=True)
class WeightOptions:
    """How the network weights w learn: SGD with momentum, a cosine schedule, clipping."""

    epochs: int = option(
        50, "passes over the images that w learns from", "epochs", "weights", check=at_least(1, "epoch")
    )
    lr: float = option(
        0.025,
        "learning rate of w at the start; cosine from there to --lr-min",
        "",
        "weights",
        check=positive("a positive learning rate"),
    )
    lr_min: float = option(
        0.001, "learning rate of w at the end", "", "weights", check=not_negative("a learning rate, 0 or more")
    )
    momentum: float = option(0.9, "momentum of SGD on w", "", "weights", check=rate())
    weight_decay: float = option(3e-4, "weight decay (L2) of w", "", "weights", check=not_negative("0 or more"))
    clip: float = option(
        5.0,
        "largest norm of the gradient of w; longer ones are shortened to it",
        "L2 norm",
        "weights",
        check=positive("a positive norm"),
    )

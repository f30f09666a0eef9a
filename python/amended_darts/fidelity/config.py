"""Settings of the fidelity study."""

from __future__ import annotations

from dataclasses import dataclass, replace

from amended_darts.errors import InputError
from amended_darts.options import option


@dataclass(frozen=True)
class FidelityConfig:
    """Everything the study depends on; it runs on the CPU.

    Raises:
        InputError: on ``resolved()``: a value out of range.
    """

    out: str = option("runs/fidelity", "folder for fidelity.json, fidelity.txt and fidelity.png")
    seed: int = option(0, "first seed; problem i is drawn with seed + i")
    quick: bool = option(False, "a few seconds: fewer seeds, smaller problems, less training")
    quadratic_seeds: int = option(40, "random quadratic problems per condition number", "problems")
    ridge_seeds: int = option(10, "random ridge regressions", "problems")
    network_seeds: int = option(3, "super-networks on digits, each trained from its own start", "networks")
    damping: float = option(
        0.01,
        "added to the diagonal of the super-network's Hessian, in the exact hypergradient and in conjugate gradients",
        "curvature",
    )
    radius: float = option(0.01, "of the finite differences, ‖change of w‖, wherever it is not what varies", "L2 norm")
    unrolled_steps: int = option(200, "training steps that the second truth is propagated back through", "steps")

    def resolved(self) -> FidelityConfig:
        """The checked configuration, shortened where ``quick`` asks for it."""
        for name in ("quadratic_seeds", "ridge_seeds", "network_seeds", "unrolled_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name.replace('_', '-')}: expected at least 1, got {getattr(self, name)}")
        if not self.damping >= 0:
            raise InputError(f"--damping: expected at least 0, got {self.damping}")
        if not self.radius > 0:
            raise InputError(f"--radius: expected more than 0, got {self.radius}")
        if not self.quick:
            return self
        return replace(
            self,
            quadratic_seeds=min(self.quadratic_seeds, 4),
            ridge_seeds=min(self.ridge_seeds, 2),
            network_seeds=1,
            unrolled_steps=min(self.unrolled_steps, 20),
        )

"""The number format of weight steps: float32, or autocast to bfloat16 or float16 with a scaled loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

DTYPES = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}
_LEAST_SCALE = 2.0**-14  # gradients that overflow float16 even below it have no finite value


class Precision:
    """Autocast for the forward pass of a weight step, and the loss scale that keeps float16 gradients from vanishing.

    α steps stay in float32 whatever is chosen: rounding would drown their finite differences.

    Args:
        name: off, bf16 or fp16.
        device: where the network is.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self.dtype = DTYPES[name]
        self.device_type = device.type
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)

    def autocast(self) -> torch.autocast:
        """The context of the forward pass."""
        return torch.autocast(self.device_type, self.dtype or torch.bfloat16, enabled=self.dtype is not None)

    def scale(self, loss: Tensor) -> Tensor:
        """The loss to take gradients of."""
        return self.scaler.scale(loss)

    def step(self, optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], clip: float) -> Tensor:
        """Clips the gradients to the norm ``clip`` and steps. In float16 a step whose gradients overflow is left out
        and the scale of the loss halved. Returns the norm before clipping.

        Raises:
            FloatingPointError: float16 gradients that overflow at every scale.
        """
        self.scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(parameters, clip).detach()
        self.scaler.step(optimizer)
        self.scaler.update()
        if self.scaler.is_enabled():
            if self.scaler.get_scale() < _LEAST_SCALE:
                raise FloatingPointError("the gradient of w is not finite in float16 at any scale of the loss")
            norm = torch.where(norm.isfinite(), norm, 0.0)  # what overflowed moved nothing
        return norm

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: the scale of the loss and its history."""
        return self.scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.scaler.load_state_dict(state)

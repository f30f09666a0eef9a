"""Where to compute."""

from __future__ import annotations

import torch

from amended_darts.errors import InputError


def find_device(name: str) -> torch.device:
    """The device that --device names.

    Raises:
        InputError: not a device, or one that is not here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--device: expected auto, cpu, cuda or cuda:N, got '{name}'")
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise InputError(f"--device: expected one of the GPUs that PyTorch sees ({count}), got '{name}'")
    return device

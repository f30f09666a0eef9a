"""What torch needs beside the kernels of the perturbation operators: fakes, and version counters of what they change.

The schemas stand in csrc/perturbation.cpp. None of them is differentiable: a search differentiates losses, not steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("amended_darts", "FRAGMENT")


def _number_fake(tensors: Sequence[Tensor], *_: Any) -> Tensor:
    return tensors[0].new_empty(())


def _perturb_fake(weights: Sequence[Tensor], *_: Any) -> None:
    return None


def _central_difference_fake(plus: Sequence[Tensor], minus: Sequence[Tensor], step: Tensor) -> list[Tensor]:
    return [torch.empty_like(t, memory_format=torch.contiguous_format) for t in plus]


def _perturb_and_count(weights: Sequence[Tensor], *rest: Any) -> None:
    """The operator, followed by what tells autograd that values saved before are stale."""
    with torch._C._AutoDispatchBelowADInplaceOrView():
        torch.ops.amended_darts.perturb_(weights, *rest)
    torch.autograd.graph.increment_version(weights)


def register() -> None:
    """Registers every companion; once, after the library is loaded."""
    fakes: dict[str, Callable[..., Any]] = {
        "global_norm": _number_fake,
        "step_size": _number_fake,
        "perturb_": _perturb_fake,
        "central_difference": _central_difference_fake,
    }
    for name, fake in fakes.items():
        torch.library.register_fake(f"amended_darts::{name}", fake, lib=_LIBRARY)
    _LIBRARY.impl("perturb_", _perturb_and_count, "ADInplaceOrView")

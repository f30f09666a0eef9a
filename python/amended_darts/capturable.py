"""Optimisers whose steps can be captured in a CUDA graph, and checkpoints that do not depend on whether they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

_HOW = ("capturable", "foreach", "fused")  # settings that say how a step is computed, not what


def make_capturable(weights: torch.optim.SGD, alphas: torch.optim.Adam) -> None:
    """Lets both take steps without a number that Python holds and changes.

    SGD reads a learning rate on the device in its fused kernel alone; Adam counts its steps there.
    """
    for group in weights.param_groups:
        group["fused"], group["foreach"] = True, False
        set_learning_rate(weights, group["lr"])
    for group in alphas.param_groups:
        group["capturable"] = True
        for parameter in group["params"]:
            step = alphas.state.get(parameter, {}).get("step")
            if step is not None:
                alphas.state[parameter]["step"] = step.to(parameter.device)


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """For the steps from now on: in place where the optimiser reads it on the device."""
    for group in optimizer.param_groups:
        if not group.get("fused"):
            group["lr"] = value
        elif isinstance(group["lr"], Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = torch.full((), value, device=group["params"][0].device)


def group_settings(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """What its steps depend on besides parameters, gradients and state."""
    return [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]


def tensors_of(modules: Iterable[nn.Module], optimizers: Iterable[torch.optim.Optimizer]) -> Iterator[Tensor]:
    """All that steps on these read and change, batches aside."""
    for module in modules:
        yield from module.parameters()
        yield from module.buffers()
    for optimizer in optimizers:
        for values in optimizer.state.values():
            yield from (value for value in values.values() if isinstance(value, Tensor))
        yield from (group["lr"] for group in optimizer.param_groups if isinstance(group["lr"], Tensor))


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """For a checkpoint: the same whether its steps are captured or not."""
    state = optimizer.state_dict()
    groups = [
        {name: float(value) if name == "lr" else value for name, value in group.items() if name not in _HOW}
        for group in state["param_groups"]
    ]
    return {**state, "param_groups": groups}


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """From a checkpoint; how steps are computed stays as it is."""
    how = [{name: group[name] for name in _HOW if name in group} for group in optimizer.param_groups]
    groups = [{**saved, **own} for saved, own in zip(state["param_groups"], how, strict=False)]
    optimizer.load_state_dict({**state, "param_groups": groups})

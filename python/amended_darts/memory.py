"""How much memory a step keeps for its backward pass, how much is free, and whether branch outputs can be kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from amended_darts.genotype import Topology
from amended_darts.spaces import Space
from amended_darts.supernet import SuperNet

_MARGIN = 4  # a quarter of what is free: the backward pass, the α step and other processes need room too


def saved_bytes(network: nn.Module, *inputs: object) -> int:
    """Bytes that autograd keeps after a forward pass of ``network``, parameters aside.

    Nothing is computed if network and inputs are fake tensors (``FakeTensorMode``).
    """
    return sum(saved_storages(network, *inputs))


def saved_storages(network: nn.Module, *inputs: object) -> list[int]:
    """``saved_bytes``, storage by storage."""
    own = {tensor.untyped_storage()._cdata for tensor in [*network.parameters(), *network.buffers()]}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor.detach()  # an output that its own node holds would keep the graph alive for ever

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(*inputs)
    return [storage.nbytes() for storage in kept.values()]


def supernet_bytes(
    space: Space,
    classes: int,
    shape: Sequence[int],
    device: torch.device,
    cells: int,
    channels: int,
    recompute: bool,
    topology: Topology | None = None,
    **settings: Any,
) -> int:
    """What a step of a super-network keeps for its backward pass, without computing or allocating anything.

    Args:
        shape: of the images of a step, [N, C, H, W].
        topology: the edges that are there, all by default.
        settings: further ones of ``SuperNet``.
    """
    with FakeTensorMode(), torch.device(device):
        network = SuperNet(space, classes, shape[1], cells=cells, channels=channels, recompute=recompute, **settings)
        if topology is not None:
            network.keep_edges(topology)
        groups = [group.candidates for group in space.groups(cells)]
        weights = [torch.empty(len(edges), max(map(len, edges))) for edges in groups]
        return saved_bytes(network, torch.empty(*shape), weights)


def free_bytes(device: torch.device) -> int:
    """Bytes that a tensor could still take: on a GPU what is free there and in PyTorch's cache; on the CPU what the
    system and this process's control group leave."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        return min(available, limit - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # no control group, or one without a limit ("max")
        return available


def choose_recompute(saved: Callable[[bool], int], device: torch.device) -> tuple[bool, str]:
    """Whether to compute branch outputs again in the backward pass, and a sentence that says why.

    Args:
        saved: bytes that a step keeps for its backward pass, given whether branch outputs are computed again.
    """
    try:
        keeping, free = saved(False), free_bytes(device)
    except Exception as error:  # an operator of one's own may ask for values, which fake tensors do not have
        why = f"what keeping them takes is unknown ({type(error).__name__})"
        return True, f"branch outputs are computed again for backward: {why}"
    recompute = keeping * _MARGIN > free
    return recompute, (
        f"branch outputs are {'computed again' if recompute else 'kept'} for backward: keeping them takes "
        f"{size(keeping)} instead of {size(saved(True))}, {'more' if recompute else 'less'} than a quarter of the "
        f"{size(free)} that are free on {device}"
    )


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"

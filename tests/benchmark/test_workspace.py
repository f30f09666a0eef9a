"""The formula for the CPU kernels' workspace gives what the library really holds after a call."""

from __future__ import annotations

import torch
from amended_darts.benchmark.live import BATCH
from amended_darts.benchmark.workspace import KernelMemory
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from amended_darts_ext import CANDIDATES, mixed_edges


class Calls(TorchDispatchMode):
    """Shows a KernelMemory what the operator is called with."""

    def __init__(self, kernels: KernelMemory) -> None:
        super().__init__()
        self.kernels = kernels

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.kernels.during(func, args)
        return func(*args, **(kwargs or {}))


# `none` alone computes nothing, and its workers lease nothing.
SETS = st.lists(st.sampled_from(sorted(CANDIDATES)), min_size=1, max_size=5, unique=True).filter(
    lambda c: c != ["none"]
)


@settings(max_examples=60)
@given(
    candidates=SETS,
    images=st.sampled_from([1, 2, 5, 33]),
    channels=st.sampled_from([1, 3, 8, 20]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    stride=st.sampled_from([1, 2]),
    edges=st.integers(1, 3),
    pool_norm=st.booleans(),
    per_sample=st.booleans(),
    recompute=st.booleans(),
    need=st.sampled_from(["all", "x", "params"]),
)
def test_workspace(
    candidates: list[str],
    images: int,
    channels: int,
    height: int,
    width: int,
    stride: int,
    edges: int,
    pool_norm: bool,
    per_sample: bool,
    recompute: bool,
    need: str,
) -> None:
    if images * -(-height // stride) * -(-width // stride) < 2:
        images = 2  # BatchNorm needs two values
    x = torch.randn(images, channels, height, width).requires_grad_(need != "params")
    shapes = [shape for name in candidates for shape in CANDIDATES[name].param_shapes(channels, stride)] * edges
    params = [torch.randn(shape).requires_grad_(need != "x") for shape in shapes]
    rows = (edges, images, len(candidates)) if per_sample else (edges, len(candidates))
    weights: Tensor = torch.rand(rows).requires_grad_(need != "x")
    torch.set_num_threads(1)
    torch.ops.amended_darts.release_workspace()
    kernels = KernelMemory("cpu")
    with Calls(kernels):
        outputs = mixed_edges(x, weights, params, candidates, stride, pool_norm=pool_norm, recompute=recompute)[0]
        assert torch.ops.amended_darts._workspace_bytes() == kernels.held(images)
        sum(output.sum() for output in outputs).backward()
    assert torch.ops.amended_darts._workspace_bytes() == kernels.held(images)


def test_copies_of_what_is_not_dense() -> None:
    x = torch.randn(4, 8, 6, 6)
    weights, names = torch.rand(1, 1), ["max_pool_3x3"]

    def copied(x: Tensor) -> tuple[int, int]:
        return KernelMemory("cpu").during(torch.ops.amended_darts.mixed_edges.default, (x, weights, [], names))

    assert copied(x) == copied(x.contiguous(memory_format=torch.channels_last)) == (0, 0)
    view = torch.randn(4, 16, 6, 6)[:, :8]
    assert sum(copied(view)) == 4 * view.numel()
    wide = torch.empty(BATCH, 16, 6, 6, device="meta")[:, :8]
    assert copied(wide) == (0, 4 * 8 * 6 * 6)

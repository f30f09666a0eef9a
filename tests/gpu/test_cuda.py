"""What is CUDA's alone: streams, graphs, no synchronisation, devices, the allocator; and the shapes of real networks.

Where CPU tensors go through the emulated kernels the same bodies run on small shapes, with what is CUDA's left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

import amended_darts_ext as ext
from amended_darts_ext import DARTS, reference

from ..cuda_on_cpu import emulator
from ..ops.calls import Call, disagreement, inputs, outputs_and_gradients

pytestmark = pytest.mark.gpu

EMULATED = emulator.library_path() is not None
OP = torch.ops.amended_darts.mixed_edges


@dataclass(frozen=True)
class Work:
    """Calls of operators, forward and backward, without a copy between host and device."""

    inputs: list[Tensor]
    run: Callable[[], list[Tensor]]

    def refill(self, seed: int) -> None:
        """Other values in the same memory."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for t in self.inputs:
                t.copy_(torch.randn(t.shape, generator=generator))


def mixed_edges(gpu: str) -> Work:
    size = 6 if EMULATED else 32
    call = Call(candidates=DARTS, n=2, c=4, h=size, w=size, edges=2, stride=2, affine=True, dtype=torch.float32)
    arguments = call.arguments(gpu)
    grads = [torch.randn(2, 4, size // 2, size // 2).to(gpu) for _ in range(2)]

    def run() -> list[Tensor]:
        y, mean, var, _ = OP(**arguments)
        return [*(t.detach() for t in (*y, mean, var)), *torch.autograd.grad(y, inputs(arguments), grads)]

    return Work([arguments["x"]], run)


def perturbation(gpu: str) -> Work:
    origin, direction = ([torch.randn(size).to(gpu) for size in (5000, 3, 0)] for _ in range(2))

    def run() -> list[Tensor]:
        weights = [torch.empty_like(t) for t in origin]
        step = ext.step_size(direction, 0.5)
        ext.perturb_(weights, origin, direction, step)
        return [*weights, *ext.central_difference(weights, origin, step), ext.global_norm(weights), step]

    return Work([*origin, *direction], run)


@pytest.fixture(params=[mixed_edges, perturbation])
def work(request: pytest.FixtureRequest, gpu: str) -> Work:
    return request.param(gpu)


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


#: Channels, size and stride of the cells of a CIFAR super-network; emulated: small ones.
SHAPES = [(4, 8, 1), (4, 8, 2)] if EMULATED else [(16, 32, 1), (32, 16, 1), (64, 8, 1), (16, 32, 2), (32, 16, 2)]


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_standard_shapes_agree_with_the_float64_twin(
    gpu: str, shape: tuple[int, int, int], dtype: torch.dtype, layout: str
) -> None:
    channels, size, stride = shape
    n = 2 if EMULATED else 16
    call = Call(DARTS, stride, n=n, c=channels, h=size, w=size, edges=2, dtype=dtype, layout=layout)
    arguments, exact = call.arguments(gpu), replace(call, dtype=torch.float64).arguments()
    with torch.no_grad():  # the truth starts from the rounded inputs
        for to, value in zip(inputs(exact), inputs(arguments), strict=True):
            to.copy_(value)
    truth = outputs_and_gradients(reference.mixed_edges, exact)
    twin = outputs_and_gradients(reference.mixed_edges, arguments)
    bound = 1e-10 if dtype == torch.float64 else max(2e-6, 2 * disagreement(twin, truth))
    assert disagreement(outputs_and_gradients(OP, arguments), truth) <= bound


def test_two_runs_give_the_same_bits(work: Work) -> None:
    first = work.run()
    for _ in range(3):
        assert equal(first, work.run())


@contextlib.contextmanager
def late_stream(gpu: str) -> Iterator[None]:
    """Another stream, which starts with a wait: what goes to any other stream is done long before."""
    if gpu == "cpu":
        yield
        return
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(100_000_000)
        yield
    torch.cuda.current_stream().wait_stream(stream)


def test_work_goes_to_the_current_stream(work: Work, gpu: str) -> None:
    work.refill(1)
    expected = work.run()
    new = [t.detach().clone() for t in work.inputs]
    work.refill(2)
    with late_stream(gpu):
        with torch.no_grad():
            torch._foreach_copy_(work.inputs, new)
        got = work.run()
    assert equal(got, expected)


def captured(call: Callable[[], list[Tensor]], gpu: str) -> tuple[Callable[[], None], list[Tensor]]:
    """Replays the call as a CUDA graph, into the tensors returned with it."""
    if gpu == "cpu":
        results = call()
        return lambda: torch._foreach_copy_(results, call()), results
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = call()
    return graph.replay, results


def test_calls_can_be_captured_in_a_graph(work: Work, gpu: str) -> None:
    replay, results = captured(work.run, gpu)
    for seed in (1, 2):
        work.refill(seed)
        replay()
        assert equal(results, work.run())


@contextlib.contextmanager
def no_synchronisation(gpu: str) -> Iterator[None]:
    if gpu == "cpu":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_nothing_is_read_back(work: Work, gpu: str) -> None:
    work.run()
    with no_synchronisation(gpu):
        work.run()


def test_workspaces_go_back_to_the_allocator(work: Work, gpu: str) -> None:
    """A call leaves nothing behind, and takes its memory from the allocator alone."""
    work.run()
    if gpu == "cpu":
        return
    torch.cuda.synchronize()
    allocated, (free, _) = torch.cuda.memory_allocated(), torch.cuda.mem_get_info()
    reserved = torch.cuda.memory_reserved()
    for _ in range(3):
        work.run()
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() == allocated
    grown = torch.cuda.memory_reserved() - reserved
    assert torch.cuda.mem_get_info()[0] >= free - grown


@pytest.mark.parametrize("make", [mixed_edges, perturbation])
def test_another_device_than_the_current_one(make: Callable[[str], Work], gpu: str) -> None:
    if gpu == "cpu" or torch.cuda.device_count() < 2:
        pytest.skip("fewer than two CUDA devices")
    on_first, on_second = make("cuda:0"), make("cuda:1")
    for each in (on_first, on_second):
        each.refill(1)
    results = on_second.run()
    assert torch.cuda.current_device() == 0
    assert {t.device for t in results} == {torch.device("cuda:1")}
    for got, want in zip(results, on_first.run(), strict=True):
        torch.testing.assert_close(got.cpu(), want.cpu())

"""mixed_edges and mixed_op agree with their plain-PyTorch twins: every candidate, shape, stride, dtype and option."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from amended_darts_ext import CANDIDATES, DARTS, mixed_edges, mixed_op, reference

from ..cuda_on_cpu import emulator
from .calls import Call, away_from_kinks, disagreement, examples, inputs, outputs_and_gradients

FLOAT64, FLOAT32 = 1e-10, 2e-6
FAST_GRADCHECK = emulator.library_path() is not None  # one random direction in place of all

calls = st.builds(
    Call,
    candidates=st.permutations(list(CANDIDATES)).flatmap(lambda p: st.integers(1, len(p)).map(lambda k: tuple(p[:k]))),
    stride=st.sampled_from([1, 2]),
    n=st.integers(1, 4),
    c=st.integers(1, 9),
    h=st.integers(1, 12),
    w=st.integers(1, 12),
    edges=st.integers(1, 3),
    per_sample=st.booleans(),
    running=st.booleans(),
    affine=st.booleans(),
    pool_norm=st.booleans(),
    recompute=st.booleans(),
    layout=st.sampled_from(["contiguous", "channels_last", "sliced", "transposed", "expanded"]),
    seed=st.integers(0, 2**20),
)


def setters(stride: int) -> list[str]:
    """The candidates whose weights say how many channels they give."""
    return [name for name, candidate in CANDIDATES.items() if candidate.sets_channels(stride)]


#: The same with another number of channels in the outputs than in x.
changing_calls = st.builds(
    lambda call, names, out_c: replace(call, candidates=tuple(names[call.stride]), out_c=out_c),
    calls,
    st.fixed_dictionaries(
        {stride: st.lists(st.sampled_from(setters(stride)), min_size=1, unique=True) for stride in (1, 2)}
    ),
    st.integers(1, 20),
)


def values_per_channel(call: Call) -> int:
    return call.n * -(-call.h // call.stride) * -(-call.w // call.stride)


@settings(max_examples=examples(160))
@given(calls | changing_calls)
def test_float64_agrees_with_the_twin(device: str, call: Call) -> None:
    assume(call.running or values_per_channel(call) > 1)
    fused = outputs_and_gradients(torch.ops.amended_darts.mixed_edges, call.arguments(device))
    truth = outputs_and_gradients(reference.mixed_edges, call.arguments())
    assert disagreement(fused, truth) < FLOAT64


def errors_in_float32(call: Call, device: str, nudge: int = 0) -> tuple[float, float]:
    """How far the operator and the twin, both in float32, are from the float64 twin.

    nudge: inputs differ by about 1e-6 from one number to the next.
    """
    arguments = replace(call, dtype=torch.float32).arguments(device)
    exact = replace(call, dtype=torch.float64).arguments()
    generator = torch.Generator().manual_seed(nudge)
    with torch.no_grad():  # the truth starts from the rounded inputs
        for to, value in zip(inputs(exact), inputs(arguments), strict=True):
            if nudge:
                value.mul_(1 + 1e-6 * torch.randn(value.shape, generator=generator).to(device))
            to.copy_(value)
        for name in ("running_mean", "running_var"):
            if exact[name] is not None:
                exact[name].copy_(arguments[name])
    truth = outputs_and_gradients(reference.mixed_edges, exact)
    fused = outputs_and_gradients(torch.ops.amended_darts.mixed_edges, arguments)
    twin = outputs_and_gradients(reference.mixed_edges, arguments)
    return disagreement(fused, truth), disagreement(twin, truth)


@settings(max_examples=examples(250))
@given(calls | changing_calls)
def test_float32_agrees_with_the_float64_twin(device: str, call: Call) -> None:
    """To 2e-6, or to twice the error that the twin makes in float32.

    A few channels, or channels that are all alike, are left to float64: there a convolution does little but scale what
    BN normalises, and its gradient is zero but for rounding. Where a sum cancels (the gradient of a single weight, say)
    one run's error is luck: the twin's is the largest over a few inputs that differ in their last digits.
    """
    call = replace(call, c=call.c + 3, n=call.n + 1, h=call.h + 3, w=call.w + 3)
    call = replace(call, out_c=None if call.out_c is None else call.out_c + 3)
    call = replace(call, layout="sliced" if call.layout == "expanded" else call.layout)
    assume(away_from_kinks(call))
    error, twin = errors_in_float32(call, device)
    if error > max(FLOAT32, 2 * twin):
        twin = max(errors_in_float32(call, device, nudge)[1] for nudge in range(1, 9))
    assert error <= max(FLOAT32, 2 * twin)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", list(CANDIDATES))
def test_each_candidate_alone_passes_gradcheck(name: str, stride: int, device: str) -> None:
    call = Call(candidates=(name,), stride=stride, n=2, c=3, h=5, w=4, edges=2, affine=True)
    arguments = call.arguments(device)
    leaves = inputs(arguments)

    def outputs(*_: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.ops.amended_darts.mixed_edges(**arguments)[0])

    assert torch.autograd.gradcheck(outputs, leaves, fast_mode=FAST_GRADCHECK, nondet_tol=0.0)


@pytest.mark.parametrize("out_c", [1, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_other_numbers_of_channels_pass_gradcheck(stride: int, out_c: int, device: str) -> None:
    call = Call(candidates=tuple(setters(stride)), stride=stride, n=3, c=3, out_c=out_c, h=5, w=4, edges=2, affine=True)
    arguments = call.arguments(device)

    def outputs(*_: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.ops.amended_darts.mixed_edges(**arguments)[0])

    assert torch.autograd.gradcheck(outputs, inputs(arguments), fast_mode=FAST_GRADCHECK, nondet_tol=0.0)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("out_c", [None, 3, 17])
@pytest.mark.parametrize("stride", [1, 2])
def test_16_bit_types_are_as_exact_as_the_twin_in_that_type(
    stride: int, out_c: int | None, dtype: torch.dtype, layout: str, device: str
) -> None:
    candidates = tuple(CANDIDATES if out_c is None else setters(stride))
    call = Call(candidates, stride, n=4, c=6, out_c=out_c, h=8, w=8, edges=2, dtype=dtype, layout=layout)
    arguments = call.arguments(device)
    exact = replace(call, dtype=torch.float64).arguments(device)
    with torch.no_grad():
        for to, value in zip(inputs(exact), inputs(arguments), strict=True):
            to.copy_(value)
    truth = outputs_and_gradients(reference.mixed_edges, exact)
    fused = outputs_and_gradients(torch.ops.amended_darts.mixed_edges, arguments)
    twin = outputs_and_gradients(reference.mixed_edges, call.arguments(device))
    assert fused[0].dtype == dtype
    assert disagreement(fused, truth) <= 2 * disagreement(twin, truth)


@pytest.mark.parametrize("per_sample", [False, True])
def test_mixed_op_is_mixed_edges_with_one_edge(per_sample: bool, device: str) -> None:
    arguments = Call(candidates=DARTS, per_sample=per_sample, affine=True).arguments(device)
    (expected,), mean, var, saved = mixed_edges(**arguments)
    single = {k: v[0] if k in ("weights", "bn_weight", "bn_bias") else v for k, v in arguments.items()}
    torch.testing.assert_close(mixed_op(**single), expected, rtol=0, atol=0)
    torch.testing.assert_close(reference.mixed_op(**single), expected)
    assert mean.shape == var.shape == (1, 8, 4)
    assert saved == [] or not arguments["recompute"]


@pytest.mark.parametrize("frozen", ["x", "weights", "params", "norm"])
def test_only_gradients_that_are_asked_for_come_back(frozen: str, device: str) -> None:
    """And the others are what they are when all are asked for, bit for bit."""
    call = Call(affine=True, edges=2, dtype=torch.float32)
    everything = call.arguments(device)
    arguments = call.arguments(device)
    groups = {
        "x": [arguments["x"]],
        "weights": [arguments["weights"]],
        "params": arguments["params"],
        "norm": [arguments["bn_weight"], arguments["bn_bias"]],
    }
    for t in groups[frozen]:
        t.requires_grad_(False)
    complete = inputs(everything)
    sum(y.sin().sum() for y in mixed_edges(**everything)[0]).backward()
    sum(y.sin().sum() for y in mixed_edges(**arguments)[0]).backward()
    flat = [arguments["x"], arguments["weights"], *arguments["params"], arguments["bn_weight"], arguments["bn_bias"]]
    for t, full in zip(flat, complete, strict=True):
        if t.requires_grad:
            assert torch.equal(t.grad, full.grad)
        else:
            assert t.grad is None


def test_an_unused_edge_gets_zero_gradients(device: str) -> None:
    """One output of two is used: the other edge's params get zeros, x only the used edge's part."""
    arguments = Call(edges=2, dtype=torch.float64).arguments(device)
    mixed_edges(**arguments)[0][1].sum().backward()
    half = len(arguments["params"]) // 2
    assert all(p.grad.abs().sum() == 0 for p in arguments["params"][:half])
    assert any(p.grad.abs().sum() > 0 for p in arguments["params"][half:])


@pytest.mark.parametrize("out_c", [None, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_an_empty_batch_gives_empty_outputs_and_zero_gradients(stride: int, out_c: int | None, device: str) -> None:
    candidates = tuple(CANDIDATES if out_c is None else setters(stride))
    for op in (mixed_edges, reference.mixed_edges):
        arguments = Call(candidates, n=0, stride=stride, out_c=out_c, edges=2, affine=True).arguments(device)
        y, mean, _, _ = op(**arguments)
        assert [out.shape for out in y] == [(0, out_c or 4, -(-6 // stride), -(-5 // stride))] * 2
        assert mean.abs().sum() == 0
        gradients = torch.autograd.grad(sum(out.sum() for out in y), inputs(arguments))
        assert all(g.abs().sum() == 0 for g in gradients)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "sliced", "transposed"])
def test_outputs_take_the_memory_format_of_x(layout: str, device: str) -> None:
    arguments = Call(layout=layout, edges=2, stride=2).arguments(device)
    y = mixed_edges(**arguments)[0]
    sum(out.sum() for out in y).backward()
    for t in (*y, arguments["x"].grad) if layout != "transposed" else y:  # autograd gives a leaf's grad its own strides
        assert t.is_contiguous(memory_format=torch.channels_last) == (layout == "channels_last")
        assert t.is_contiguous() == (layout != "channels_last")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", list(CANDIDATES))
def test_nan_and_inf_spread_as_in_the_twin(name: str, value: float, device: str) -> None:
    call = Call(candidates=(name,), running=True, n=1, c=3, h=7, w=7, dtype=torch.float32)
    arguments = call.arguments(device)
    with torch.no_grad():
        arguments["x"][0, 1, 3, 3] = value
    (fused,), *_ = mixed_edges(**arguments)
    (twin,), *_ = reference.mixed_edges(**arguments)
    torch.testing.assert_close(fused, twin, equal_nan=True, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_do_not_depend_on_the_number_of_threads(dtype: torch.dtype) -> None:
    call = Call(n=5, c=7, h=9, w=10, edges=2, stride=2, per_sample=True, affine=True, dtype=dtype)
    results = []
    for threads in (1, 2, 3, 2):
        torch.set_num_threads(threads)
        results.append(outputs_and_gradients(torch.ops.amended_darts.mixed_edges, call.arguments()))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("out_c", [None, 5])
def test_nothing_is_saved_but_inputs_and_statistics(out_c: int | None, device: str) -> None:
    """With recompute: x, weights, params and the batch statistics; x as it is, not a copy."""
    candidates = tuple(CANDIDATES if out_c is None else setters(1))
    call = Call(candidates, edges=2, dtype=torch.float32, n=8, c=8, out_c=out_c, h=16, w=16)
    arguments = call.arguments(device)
    saved: list[torch.Tensor] = []

    def pack(t: torch.Tensor) -> torch.Tensor:
        saved.append(t)
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y, *_ = mixed_edges(**arguments)
    own = {t.data_ptr() for t in (arguments["x"], arguments["weights"], *arguments["params"])}
    extra = sum(t.numel() * t.element_size() for t in saved if t.data_ptr() not in own)
    norms = sum(CANDIDATES[name].num_norms(1) for name in candidates)
    assert extra == 2 * (2 * norms * (out_c or 8)) * 4
    assert len(y) == 2

"""Every operator of the namespace has the companions it should have, and they work: fake, twin, autograd, autocast,
FLOP formula, torch.compile, opcheck."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode, flop_registry

import amended_darts_ext
from amended_darts_ext import CANDIDATES, DARTS, MixedEdges, MixedOp, reference

from ..cuda_on_cpu import emulator
from .calls import Call, inputs

OPS = torch.ops.amended_darts


@dataclass(frozen=True)
class Lacks:
    """The companions that an operator does not have, and why."""

    twin: str = ""
    fake: str = ""
    autograd: str = ""
    autocast: str = ""
    flops: str = ""


_NO_TENSORS = Lacks(**dict.fromkeys(("twin", "fake", "autograd", "autocast", "flops"), "takes and returns no tensor"))

#: What is missing on purpose. An operator that is not here must have all five.
EXCEPTIONS = {
    "mixed_op": Lacks(
        fake="composite: decomposes to mixed_edges", autocast="composite", flops="composite: mixed_edges is counted"
    ),
    **{
        name: Lacks(
            autograd="not differentiable: losses are differentiated, not the steps between them",
            autocast="float32 and float64 only, on purpose: a perturbation does not survive 16 bits",
            flops="moves memory; torch counts products alone",
        )
        for name in ("global_norm", "step_size", "perturb_", "central_difference")
    },
    "_mixed_edges_backward": Lacks(
        twin="torch.autograd through the twin of mixed_edges", autocast="runs in the dtypes that forward saved"
    ),
    "release_workspace": _NO_TENSORS,
    "_workspace_bytes": _NO_TENSORS,
    "_cpu_isa": _NO_TENSORS,
    "_cpu_isas": _NO_TENSORS,
}


def namespace() -> list[str]:
    schemas = torch._C._jit_get_all_schemas()
    return sorted({s.name.split("::")[1] for s in schemas if s.name.startswith("amended_darts::")})


def has_kernel(name: str, key: str) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(f"amended_darts::{name}", key)


@pytest.mark.parametrize("name", namespace())
def test_each_operator_has_its_companions(name: str) -> None:
    lacks = EXCEPTIONS.get(name, Lacks())
    composite = has_kernel(name, "CompositeImplicitAutograd")
    found = {
        "twin": callable(getattr(reference, name, None)),
        "fake": torch._library.simple_registry.singleton.find(f"amended_darts::{name}").fake_impl.kernel is not None,
        "autograd": composite or has_kernel(name, "Autograd") or has_kernel(name, "AutogradCPU"),
        "autocast": has_kernel(name, "AutocastCPU") and has_kernel(name, "AutocastCUDA"),
        "flops": getattr(OPS, name) in flop_registry,
    }
    for companion, there in found.items():
        reason = getattr(lacks, companion)
        assert there or reason, f"{name} lacks its {companion}"
        assert not (there and reason), f"{name} has its {companion} after all: remove the exception"


def test_exceptions_name_operators_that_exist() -> None:
    assert set(EXCEPTIONS) <= set(namespace())


def test_public_operators_have_a_typed_function() -> None:
    for name in namespace():
        if not name.startswith("_"):
            assert name in amended_darts_ext.__all__


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "call",
    [
        Call(candidates=DARTS, edges=2),
        Call(edges=1, affine=True, running=True, layout="channels_last"),
        Call(candidates=("skip_connect", "sep_conv_3x3"), per_sample=True, pool_norm=False, dtype=torch.float32),
        Call(candidates=("none", "avg_pool_3x3"), layout="sliced", n=3),
        Call(candidates=("nor_conv_1x1",), out_c=6, dtype=torch.float32),
        Call(candidates=("nor_conv_3x3", "nor_conv_1x1"), out_c=3, recompute=False, affine=True, dtype=torch.float32),
    ],
)
def test_opcheck(call: Call, stride: int, device: str) -> None:
    if emulator.library_path() is not None and not call.recompute:
        pytest.skip("of CPU tensors the fake tells what the CPU's own kernels keep")
    arguments = Call(**{**call.__dict__, "stride": stride}).arguments(device)
    torch.library.opcheck(OPS.mixed_edges.default, (), arguments)
    no_edges = ("weights", "running_mean", "running_var", "bn_weight", "bn_bias")
    if call.edges == 1:
        single = {
            k: v[0].detach().requires_grad_(v.requires_grad) if k in no_edges and v is not None else v
            for k, v in arguments.items()
        }
        # A composite has no autograd kernel of its own to look for.
        utils = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
        torch.library.opcheck(OPS.mixed_op.default, (), single, test_utils=utils)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
def test_compiles_as_one_graph(stride: int, training: bool, device: str) -> None:
    torch._dynamo.reset()
    module = MixedEdges(4, 2, stride, affine=True).to(device).train(training)
    twin = MixedEdges(4, 2, stride, affine=True).to(device).train(training)
    twin.load_state_dict(module.state_dict())
    weights = torch.rand(2, 8, device=device)
    x = torch.randn(3, 4, 6, 6, device=device)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for got, want in zip(compiled(x, weights), twin(x, weights), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=0)
    assert torch.equal(module.running_var, twin.running_var)
    sum(y.square().sum() for y in compiled(x, weights)).backward()
    sum(y.square().sum() for y in twin(x, weights)).backward()
    for p, q in zip(module.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_casts_x_and_params_alone(dtype: torch.dtype, device: str) -> None:
    arguments = Call(dtype=torch.float32, edges=2, affine=True).arguments(device)
    with torch.autocast(device, dtype=dtype):
        y, mean, _, _ = OPS.mixed_edges(**arguments)
    assert {out.dtype for out in y} == {dtype}
    assert mean.dtype == torch.float32
    gradients = torch.autograd.grad(sum(out.float().sum() for out in y), inputs(arguments))
    assert {g.dtype for g in gradients} == {torch.float32}
    cast = {
        k: v.to(dtype) if k == "x" else [p.to(dtype) for p in v] if k == "params" else v for k, v in arguments.items()
    }
    for got, want in zip(y, OPS.mixed_edges(**cast)[0], strict=True):
        assert torch.equal(got, want)


def test_autocast_leaves_float64_alone() -> None:
    arguments = Call(dtype=torch.float64).arguments()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert OPS.mixed_edges(**arguments)[0][0].dtype == torch.float64


@pytest.mark.parametrize("out_c", [None, 6])
@pytest.mark.parametrize("stride", [1, 2])
def test_flops(stride: int, out_c: int | None) -> None:
    """Forward: what torch counts for the twin. Backward: recomputed forward, gradients of inputs and of params.

    The twin's backward is no measure: torch counts a depthwise weight gradient as if it were dense.
    """
    candidates = tuple(CANDIDATES) if out_c is None else ("nor_conv_1x1", "nor_conv_3x3")
    call = Call(candidates, stride, c=4, out_c=out_c, h=8, w=8, edges=2, dtype=torch.float32)
    arguments = call.arguments()
    with FlopCounterMode(display=False) as twin:
        reference.mixed_edges(**arguments)
    with FlopCounterMode(display=False) as forward:
        y = OPS.mixed_edges(**arguments)[0]
    with FlopCounterMode(display=False) as backward:
        sum(out.sum() for out in y).backward()
    assert forward.get_total_flops() == twin.get_total_flops()
    assert backward.get_total_flops() == 3 * forward.get_total_flops()


def test_a_second_derivative_is_refused_in_words() -> None:
    module = MixedOp(3).double()
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(8, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(module(x, weights).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"no second derivative.*amended_darts_ext\.reference\.mixed_edges"):
        gradient.sum().backward()


def test_the_twin_has_a_second_derivative() -> None:
    arguments = Call(candidates=("sep_conv_3x3", "max_pool_3x3", "skip_connect"), n=2, c=2, h=4, w=4).arguments()
    assert torch.autograd.gradgradcheck(
        lambda *_: reference.mixed_edges(**arguments)[0][0], [arguments["x"], arguments["weights"]], atol=1e-3
    )


def test_python_and_library_have_one_table_of_candidates() -> None:
    from amended_darts_ext import _C

    table = {
        name: (c.kernel, c.dilation, *((len(c.param_shapes(4, s)), c.num_norms(s)) for s in (1, 2)))
        for name, c in CANDIDATES.items()
    }
    assert _C.candidates() == table
    assert list(_C.candidates()) == list(table)

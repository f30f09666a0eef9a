"""Bad input is refused in one sentence that names the argument, by compiled operators, fakes and twins alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from amended_darts_ext import MixedEdges, MixedOp, mixed_op, reference

from .calls import Call

CASES: dict[str, tuple[dict[str, Any], str]] = {
    "3-D x": ({"x": torch.randn(4, 6, 5)}, r"x must have 4 dimensions \[N, C, H, W\], got \[4, 6, 5\]"),
    "integer x": (
        {"x": torch.ones(2, 4, 6, 5, dtype=torch.int64)},
        "x must be float32, float64, bfloat16 or float16, got int64",
    ),
    "no pixels": ({"x": torch.randn(2, 4, 0, 5)}, "at least one channel and one pixel"),
    "stride 0": ({"stride": 0}, "stride must be 1 or 2, got 0"),
    "stride 3": ({"stride": 3}, "stride must be 1 or 2, got 3"),
    "number of weights": ({"weights": torch.rand(1, 7)}, r"weights must be .* K = 2 candidates, got \[1, 7\]"),
    "rows of weights": ({"weights": torch.rand(1, 3, 2)}, r"weights must be .* N = 2 .*, got \[1, 3, 2\]"),
    "no edges": ({"weights": torch.rand(0, 2)}, r"weights must be"),
    "weights of another dtype": ({"weights": torch.rand(1, 2).half()}, "weights must be float32 .* got float16"),
    "number of params": ({"params": []}, r"params must hold 4 convolution weights \(1 edges of 4\), got 0"),
    "shape of params": (
        {"params": [torch.randn(4, 1, 5, 5)] * 4},
        r"params\[0\] must be \[4, 1, 3, 3\], got \[4, 1, 5, 5\]",
    ),
    "channels of a candidate that keeps them": (
        {"candidates": ["nor_conv_1x1", "max_pool_3x3"], "params": [torch.randn(6, 4, 1, 1)]},
        r"params\[0\] must be \[4, 4, 1, 1\] \(as many channels as max_pool_3x3 gives\), got \[6, 4, 1, 1\]",
    ),
    "channels of two candidates": (
        {"candidates": ["nor_conv_1x1", "nor_conv_3x3"], "params": [torch.randn(6, 4, 1, 1), torch.randn(5, 4, 3, 3)]},
        r"params\[1\] must be \[6, 4, 3, 3\] \(as many channels as nor_conv_1x1 gives\), got \[5, 4, 3, 3\]",
    ),
    "halves of a FactorizedReduce": (
        {
            "weights": torch.rand(1, 1),
            "candidates": ["skip_connect"],
            "stride": 2,
            "params": [torch.randn(4, 4, 1, 1), torch.randn(1, 4, 1, 1)],
        },
        r"params\[0\] must be \[2, 4, 1, 1\], got \[4, 4, 1, 1\]",
    ),
    "a convolution without filters": (
        {"weights": torch.rand(1, 1), "candidates": ["nor_conv_1x1"], "params": [torch.randn(0, 4, 1, 1)]},
        r"params\[0\] must be \[4, 4, 1, 1\], got \[0, 4, 1, 1\]",
    ),
    "a convolution weight in 2-D": (
        {"weights": torch.rand(1, 1), "candidates": ["nor_conv_1x1"], "params": [torch.randn(6, 4)]},
        r"params\[0\] must be \[4, 4, 1, 1\], got \[6, 4\]",
    ),
    "statistics with the channels of x": (
        {
            "candidates": ["nor_conv_1x1"],
            "weights": torch.rand(1, 1),
            "params": [torch.randn(6, 4, 1, 1)],
            "running_mean": torch.zeros(1, 1, 4),
            "running_var": torch.ones(1, 1, 4),
        },
        r"running_mean must be \[E, B, C'\] = \[1, 1, 6\], got \[1, 1, 4\]",
    ),
    "unknown candidate": ({"candidates": ["sep_conv_9x9", "skip_connect"]}, "unknown candidate 'sep_conv_9x9'.*none"),
    "no candidate": ({"candidates": []}, "at least one operation"),
    "half of the statistics": (
        {"running_mean": torch.zeros(1, 2, 4)},
        "running_mean and running_var must be given together",
    ),
    "half of the affine": ({"bn_bias": torch.zeros(1, 2, 4)}, "bn_weight and bn_bias must be given together"),
    "shape of the affine": (
        {"bn_weight": torch.zeros(2, 4), "bn_bias": torch.zeros(2, 4)},
        r"bn_weight must be \[E, B, C'\] = \[1, 2, 4\], got \[2, 4\]",
    ),
    "one value per channel": ({"x": torch.randn(1, 4, 1, 1)}, "expected more than 1 value per channel when training"),
}
KINDS = ["compiled", "twin", "fake"]


def arguments(**changes: Any) -> dict[str, Any]:
    call = Call(candidates=("sep_conv_3x3", "skip_connect"), dtype=torch.float32)
    return {k: v.detach() if isinstance(v, torch.Tensor) else v for k, v in {**call.arguments(), **changes}.items()}


def run(kind: str, given: dict[str, Any]) -> None:
    if kind == "twin":
        reference.mixed_edges(**given)
    elif kind == "compiled":
        torch.ops.amended_darts.mixed_edges(**given)
    else:
        with FakeTensorMode() as mode:

            def fake(value: Any) -> Any:
                if isinstance(value, torch.Tensor):
                    return mode.from_tensor(value)
                return [fake(v) for v in value] if isinstance(value, list) else value

            torch.ops.amended_darts.mixed_edges(**{k: fake(v) for k, v in given.items()})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", list(CASES))
def test_mixed_edges_names_the_argument(case: str, kind: str) -> None:
    changes, sentence = CASES[case]
    with pytest.raises(RuntimeError, match=f"^mixed_edges: .*{sentence}") as error:
        run(kind, arguments(**changes))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ["compiled", "twin"])
def test_params_of_another_dtype_and_device(kind: str) -> None:
    params = [p.detach().double() for p in arguments()["params"]]
    with pytest.raises(RuntimeError, match=r"params\[0\] must have the dtype of x \(float32\), got float64"):
        run(kind, arguments(params=params))


def test_twin_names_another_device() -> None:
    params = [p.detach().to("meta") for p in arguments()["params"]]
    with pytest.raises(RuntimeError, match=r"params\[0\] must be on the device of x \(cpu\), got meta"):
        run("twin", arguments(params=params))


@pytest.mark.gpu
def test_compiled_operator_names_another_device() -> None:
    params = [p.detach().cuda() for p in arguments()["params"]]
    with pytest.raises(RuntimeError, match=r"params\[0\] must be on the device of x \(cpu\), got cuda:0"):
        run("compiled", arguments(params=params))


@pytest.mark.parametrize("op", [mixed_op, reference.mixed_op])
def test_mixed_op_words_its_own_arguments(op: Any) -> None:
    given = arguments()
    with pytest.raises(
        RuntimeError, match=r"^mixed_op: weights must be \[K\] or, one row per sample, \[N, K\] with N = 2"
    ):
        op(**given)
    with pytest.raises(RuntimeError, match=r"^mixed_op: x must have 4 dimensions"):
        op(**{**given, "x": torch.randn(3)})


def test_backward_checks_what_it_is_given() -> None:
    given = arguments()
    order = ("x", "weights", "params", "candidates", "stride")
    mean = torch.zeros(1, 2, 4)
    rest = (None, None, [], 1e-5, True, True, False, True, True, True, False)
    backward = torch.ops.amended_darts._mixed_edges_backward
    common = [given[k] for k in order]
    with pytest.raises(RuntimeError, match="grad_y must hold 1 tensors, got 0"):
        backward([], *common, mean, mean, *rest)
    with pytest.raises(RuntimeError, match=r"each of grad_y must be \[2, 4, 6, 5\]"):
        backward([torch.ones(2, 4, 6, 6)], *common, mean, mean, *rest)
    with pytest.raises(RuntimeError, match=r"mean must be \[E, B, C'\]"):
        backward([torch.ones(2, 4, 6, 5)], *common, mean[0], mean[0], *rest)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"channels": 0}, "channels and edges must be positive"),
        ({"stride": 3}, "stride must be 1 or 2, got 3"),
        ({"candidates": ["conv"]}, "unknown candidate 'conv'"),
        ({"candidates": []}, "no candidate"),
        ({"candidates": ["none", "none"]}, "must differ"),
        ({"candidates": ["nor_conv_1x1"], "out_channels": 0}, "out_channels must be positive, got 0"),
        (
            {"candidates": ["nor_conv_1x1", "skip_connect"], "out_channels": 6},
            "out_channels must be channels = 4 where 'skip_connect' is among .*keeps the channels.*, got 6",
        ),
        ({"implementation": "cuda"}, "'fused' or 'reference', got 'cuda'"),
    ],
)
def test_modules_name_the_argument(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        MixedOp(**{"channels": 4, **changes})
    with pytest.raises(ValueError, match=sentence):
        MixedEdges(**{"channels": 4, "edges": 2, **changes})


def test_modules_name_weights_that_do_not_fit() -> None:
    with pytest.raises(RuntimeError, match=r"weights must be \[K\] or \[N, K\] with K = 8 candidates, got \[7\]"):
        MixedOp(4)(torch.randn(2, 4, 5, 5), torch.rand(7))
    with pytest.raises(RuntimeError, match=r"E = 2 edges and K = 8 candidates, got \[3, 8\]"):
        MixedEdges(4, 2)(torch.randn(2, 4, 5, 5), torch.rand(3, 8))
    with pytest.raises(ValueError, match="no candidate 'sep_conv_9x9' here"):
        MixedOp(4).branch("sep_conv_9x9")
    with pytest.raises(ValueError, match=r"edge must be in 0\.\.1, got 2"):
        MixedEdges(4, 2).branch("none", 2)

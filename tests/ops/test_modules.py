"""MixedOp and MixedEdges: names, running statistics, implementations, single branches and custom candidates."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from amended_darts_ext import DARTS, MixedEdges, MixedOp


def plain_modules(channels: int, stride: int, pool_norm: bool = True) -> nn.ModuleList:
    """The 2018 candidates as nn.Modules, written again to compare with."""

    def norm() -> nn.BatchNorm2d:
        return nn.BatchNorm2d(channels, affine=False)

    def half(kernel: int, step: int, dilation: int = 1) -> list[nn.Module]:
        padding = kernel // 2 * dilation
        depthwise = nn.Conv2d(channels, channels, kernel, step, padding, dilation, groups=channels, bias=False)
        return [nn.ReLU(), depthwise, nn.Conv2d(channels, channels, 1, bias=False), norm()]

    class FactorizedReduce(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(channels, channels // 2, 1, 2, bias=False)
            self.second = nn.Conv2d(channels, channels // 2, 1, 2, bias=False)
            self.norm = norm()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.relu()
            return self.norm(torch.cat([self.first(x), self.second(x[:, :, 1:, 1:])], 1))

    after_pool = [norm()] if pool_norm else []
    return nn.ModuleList(
        [
            nn.Sequential(nn.MaxPool2d(3, stride, 1), *after_pool),
            nn.Sequential(nn.AvgPool2d(3, stride, 1, count_include_pad=False), *copy.deepcopy(after_pool)),
            nn.Identity() if stride == 1 else FactorizedReduce(),
            nn.Sequential(*half(3, stride), *half(3, 1)),
            nn.Sequential(*half(5, stride), *half(5, 1)),
            nn.Sequential(*half(3, stride, 2)),
            nn.Sequential(*half(5, stride, 2)),
        ]
    )


@pytest.mark.parametrize("implementation", ["fused", "reference"])
@pytest.mark.parametrize("stride", [1, 2])
def test_equals_the_sum_over_modules_of_the_public_code(stride: int, implementation: str) -> None:
    """Outputs, gradients, running statistics, then evaluation with them, against plain nn.Modules."""
    ops = plain_modules(4, stride).double()
    mixed = MixedOp(4, stride, implementation=implementation).double()
    weights = [p for op in ops for p in op.parameters()]
    with torch.no_grad():
        for to, value in zip(mixed.convolution_weights(), weights, strict=True):
            to.copy_(value)
    x = torch.randn(3, 4, 8, 8, dtype=torch.float64)
    alpha = torch.rand(8, dtype=torch.float64)

    def eager(x: torch.Tensor) -> torch.Tensor:
        return sum(w * op(x) for w, op in zip(alpha[1:], ops, strict=True))

    for _ in range(2):
        torch.testing.assert_close(mixed(x, alpha), eager(x), rtol=1e-9, atol=1e-9)
    mixed(x, alpha).sin().sum().backward()
    eager(x).sin().sum().backward()
    for p, q in zip(mixed.convolution_weights(), weights, strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-8, atol=1e-9)
    norms = [m for m in ops.modules() if isinstance(m, nn.BatchNorm2d)]
    torch.testing.assert_close(mixed.running_mean, torch.stack([m.running_mean for m in norms]))
    torch.testing.assert_close(mixed.running_var, torch.stack([m.running_var for m in norms]))
    mixed.eval()
    ops.eval()
    torch.testing.assert_close(mixed(x, alpha), eager(x), rtol=1e-9, atol=1e-9)


def test_names_in_the_state_dict_are_fixed() -> None:
    one = MixedOp(4, 2, ["skip_connect", "sep_conv_3x3", "max_pool_3x3"], affine=True).state_dict()
    assert {k: tuple(v.shape) for k, v in one.items()} == {
        "params.skip_connect.0": (2, 4, 1, 1),
        "params.skip_connect.1": (2, 4, 1, 1),
        "params.sep_conv_3x3.0": (4, 1, 3, 3),
        "params.sep_conv_3x3.1": (4, 4, 1, 1),
        "params.sep_conv_3x3.2": (4, 1, 3, 3),
        "params.sep_conv_3x3.3": (4, 4, 1, 1),
        "running_mean": (4, 4),
        "running_var": (4, 4),
        "bn_weight": (4, 4),
        "bn_bias": (4, 4),
    }
    several = MixedEdges(4, 3, 1, ["dil_conv_3x3"]).state_dict()
    assert sorted(several) == sorted(
        [f"params.{e}.dil_conv_3x3.{i}" for e in range(3) for i in range(2)] + ["running_mean", "running_var"]
    )


@pytest.mark.parametrize("implementation", ["fused", "reference"])
def test_edges_are_mixed_ops_side_by_side(implementation: str) -> None:
    edges = MixedEdges(3, 2, implementation=implementation).double()
    singles = [MixedOp(3, implementation=implementation).double() for _ in range(2)]
    for e, single in enumerate(singles):
        for to, value in zip(single.parameters(), edges.params[e].parameters(), strict=True):
            to.data.copy_(value)
    x, weights = torch.randn(2, 3, 6, 6, dtype=torch.float64), torch.rand(2, 8, dtype=torch.float64)
    for e, y in enumerate(edges(x, weights)):
        torch.testing.assert_close(y, singles[e](x, weights[e]))
    for e, single in enumerate(singles):
        torch.testing.assert_close(edges.running_mean[e], single.running_mean)
        torch.testing.assert_close(edges.running_var[e], single.running_var)


def test_an_empty_batch_leaves_running_statistics() -> None:
    mixed = MixedOp(3)
    before = copy.deepcopy(mixed.state_dict())
    assert mixed(torch.randn(0, 3, 6, 6), torch.rand(8)).shape == (0, 3, 6, 6)
    assert all(torch.equal(before[k], v) for k, v in mixed.state_dict().items())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
def test_branches_share_weights_and_statistics(stride: int, training: bool) -> None:
    """The weighted sum of the branches is the mixed op; a branch's gradient is the mixed op's own."""
    mixed = MixedEdges(4, 2, stride, affine=True).double().train(training)
    twin = copy.deepcopy(mixed)
    x, weights = torch.randn(2, 4, 6, 6, dtype=torch.float64), torch.rand(2, 8, dtype=torch.float64)
    branches = [mixed.branch(name, edge=1) for name in DARTS]
    total = sum(w * branch(x) for w, branch in zip(weights[1], branches, strict=True))
    expected = twin(x, weights)[1]
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(mixed.running_var[1], twin.running_var[1])
    total.sum().backward()
    expected.sum().backward()
    for p, q in zip(mixed.params[1].parameters(), twin.params[1].parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)
    assert not any(isinstance(m, MixedEdges) for branch in branches for m in branch.modules())


def test_a_factory_joins_the_sum() -> None:
    def conv(channels: int, stride: int) -> nn.Module:
        return nn.Conv2d(channels, channels, 3, stride, 1)

    for stride in (1, 2):
        mixed = MixedEdges(4, 2, stride, ["skip_connect", conv, "avg_pool_3x3"])
        assert mixed.candidates == ("skip_connect", "conv", "avg_pool_3x3")
        named = MixedEdges(4, 2, stride, ["skip_connect", "avg_pool_3x3"])
        named.load_state_dict({k: v for k, v in mixed.state_dict().items() if not k.startswith("custom")})
        x = torch.randn(2, 4, 6, 6)
        for weights in (torch.rand(2, 3), torch.rand(2, 2, 3)):
            without = named(x, weights[..., [0, 2]])
            for e, y in enumerate(mixed(x, weights)):
                w = weights[e, ..., 1]
                extra = mixed.custom[e]["1"](x) * (w.view(-1, 1, 1, 1) if w.dim() else w)
                torch.testing.assert_close(y, without[e] + extra)
    alone = MixedOp(4, 1, [conv])
    assert alone(torch.randn(2, 4, 6, 6), torch.ones(1)).shape == (2, 4, 6, 6)


def test_recompute_and_implementation_do_not_change_results() -> None:
    x, weights = torch.randn(4, 8, 8, 8), torch.rand(8)
    reference = MixedOp(8, implementation="reference")
    results = []
    for recompute in (True, False):
        mixed = MixedOp(8, recompute=recompute)
        mixed.load_state_dict(reference.state_dict())
        y = mixed(x, weights)
        y.square().sum().backward()
        results.append([y, *(p.grad for p in mixed.parameters())])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("implementation", ["fused", "reference"])
@pytest.mark.parametrize(("stride", "name"), [(1, "nor_conv_1x1"), (2, "nor_conv_3x3"), (2, "skip_connect")])
def test_out_channels(name: str, stride: int, implementation: str) -> None:
    """Outputs, statistics and a branch of its own with five channels made of three."""
    mixed = MixedEdges(3, 2, stride, [name], out_channels=5, implementation=implementation, affine=True).double()
    assert mixed.running_mean.shape == mixed.bn_weight.shape == (2, 1, 5)
    assert "out_channels=5" in repr(mixed)
    twin = copy.deepcopy(mixed)
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64)
    y = mixed(x, torch.ones(2, 1, dtype=torch.float64))[1]
    assert y.shape == (2, 5, -(-7 // stride), 6 // stride)
    torch.testing.assert_close(twin.branch(name, edge=1)(x), y)
    torch.testing.assert_close(twin.running_var[1], mixed.running_var[1])

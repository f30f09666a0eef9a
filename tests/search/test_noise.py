"""``noise``: standard normal numbers of the output's shape that join the sum of a mixed edge like any other branch."""

from __future__ import annotations

import pytest
import torch
from amended_darts.architecture import Architecture
from amended_darts.hypergradient import amended
from amended_darts.noise import noise
from amended_darts.spaces import find_space
from amended_darts.supernet import SuperNet


@pytest.mark.parametrize(("stride", "size"), [(1, (9, 8)), (2, (5, 4))])
def test_noise(stride, size):
    module = noise(16, stride)
    x = torch.full((50, 16, 9, 8), torch.nan)
    torch.manual_seed(0)
    drawn = module(x)
    assert drawn.shape == (50, 16, *size)
    assert abs(drawn.mean()) < 0.05
    assert abs(drawn.std() - 1) < 0.05
    torch.manual_seed(0)
    assert torch.equal(module(x), drawn)
    assert not torch.equal(module(x), drawn)
    assert module(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("implementation", ["fused", "reference"])
def test_robust_s4(implementation):
    """The network computes, and both passes of a pair draw the same noise: without its replay the finite difference
    of the second term would be noise over 2R, many times the first term."""
    space = find_space("robust-s4")
    torch.manual_seed(0)
    network = SuperNet(space, 5, cells=3, channels=4, implementation=implementation)
    architecture = Architecture(space, 3)
    x, labels = torch.randn(8, 3, 8, 8), torch.randint(5, (8,))

    def loss():
        return torch.nn.functional.cross_entropy(network(x, architecture.weights()), labels)

    report = {}
    gradients = amended(
        loss, loss, list(network.parameters()), list(architecture.parameters()), eta=1e-4, report=report
    )
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert float(report["direction_norm"]) < 1e4 * float(report["first_norm"])

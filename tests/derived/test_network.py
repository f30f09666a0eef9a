"""Derived networks: the sizes and costs that papers state, equality with the super-network, no compiled library."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch
from amended_darts.derived import (
    DerivedNetwork,
    count_multiply_adds,
    count_parameters,
    inherit_weights,
    one_hot_weights,
)
from amended_darts.derived.operators import drop_path, make_operator
from amended_darts.errors import InputError
from amended_darts.genotype import derive
from amended_darts.published import find_genotype
from amended_darts.spaces import OPERATORS, find_space
from amended_darts.supernet import SuperNet
from torch import nn

from tests.search.processes import ENVIRONMENT

MILLION = 1e6
SKIPS = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"


@pytest.mark.parametrize(
    ("name", "cifar", "imagenet"),
    # Table 1 and 2 of arXiv 1806.09055, 1904.12760 and 1907.05737
    [("DARTS_V2", 3.3, 4.7), ("P_DARTS", 3.4, 4.9), ("PC_DARTS_CIFAR", 3.6, 5.3), ("PC_DARTS_IMAGE", 3.7, 5.3)],
)
def test_published_numbers_of_parameters(name, cifar, imagenet):
    genotype = find_genotype(name)
    with torch.device("meta"):
        networks = (
            DerivedNetwork(genotype, 10, auxiliary=True),
            DerivedNetwork(genotype, 1000, form="imagenet", auxiliary=True),
        )
    for network, published in zip(networks, (cifar, imagenet), strict=True):
        assert round(count_parameters(network) / MILLION, 1) == published
        assert count_parameters(network, auxiliary=True) > count_parameters(network)


@pytest.mark.parametrize(("name", "published"), [("P_DARTS", 557), ("PC_DARTS_IMAGE", 597)])
def test_published_multiply_adds(name, published):
    """As those papers count: BN, ReLU and pools too."""
    with torch.device("meta"):
        network = DerivedNetwork(find_genotype(name), 1000, form="imagenet")
    assert round(count_multiply_adds(network, (3, 224, 224), elementwise=True) / MILLION) == published


def test_multiply_adds_of_a_convolution_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(128, 5))
    assert count_multiply_adds(network, (3, 8, 8)) == 16 * 8 * 27 + 128 * 5
    assert count_multiply_adds(network, (3, 8, 8), elementwise=True) == 16 * 8 * 27 + 128 * 5 + 2 * 128
    assert next(network.parameters()).device.type == "cpu"  # the network itself is untouched


def test_counts_are_those_of_the_2018_code():
    """3.349342 M parameters on CIFAR-10, as its training script prints; multiply-adds of convolutions alone."""
    genotype = find_genotype("darts_v2")
    with torch.device("meta"):
        assert count_parameters(DerivedNetwork(genotype, 10)) == 3_349_342
        imagenet = DerivedNetwork(genotype, 1000, form="imagenet")
    assert count_multiply_adds(imagenet, (3, 224, 224)) == 529_911_552


def random_genotype(space, cells):
    weights = [[torch.rand(len(names)).tolist() for names in group.candidates] for group in space.groups(cells)]
    return derive(space, cells, weights)


def shake(module):
    """Random running statistics and affine weights, so that a row mixed up would show."""
    for name, value in module.state_dict().items():
        if value.is_floating_point() and value.dim() < 4:
            value.uniform_(0.5, 1.5) if "var" in name or "weight" in name else value.uniform_(-0.5, 0.5)


@pytest.mark.parametrize("form", ["re-training", "search"])
@pytest.mark.parametrize("space", ["darts", "s2", "darts-large", "robust-s1", "robust-s3", "nasbench201"])
def test_super_network_with_one_hot_weights_is_the_derived_network(space, form):
    """The same weights, the same function: in training and in evaluation, also the running statistics."""
    space, cells = find_space(space), 3
    settings = {"affine": form == "re-training", "pool_norm": form == "search" and space.pool_norm}
    genotype = random_genotype(space, cells)
    supernet = SuperNet(space, 5, cells=cells, channels=2, **settings).double()
    shake(supernet)
    network = DerivedNetwork(genotype, 5, cells=cells, channels=2, auxiliary=True, **settings).double()
    inherit_weights(network, supernet)
    x = torch.randn(4, 3, 9, 7, dtype=torch.float64)
    weights = [group.double() for group in one_hot_weights(space, genotype)]
    for training in (False, True):
        with torch.no_grad():
            one, other = network.train(training)(x), supernet.train(training)(x, weights)
        assert float((one - other).norm() / other.norm()) < 1e-10
    before = network.eval()(x).detach()  # with the statistics that both have moved
    inherit_weights(network, supernet)
    assert float((network(x).detach() - before).norm() / before.norm()) < 1e-10


def test_whole_super_network_in_the_form_of_re_training():
    """The stem for ImageNet and the auxiliary head too."""
    space = find_space("darts")
    genotype = random_genotype(space, 3)
    settings = {"cells": 3, "channels": 4, "form": "imagenet", "auxiliary": True, "affine": True, "pool_norm": False}
    supernet = SuperNet(space, 5, implementation="reference", **settings).double()
    shake(supernet)
    network = DerivedNetwork(genotype, 5, **settings).double()
    inherit_weights(network, supernet)
    x = torch.randn(4, 3, 40, 40, dtype=torch.float64)
    weights = [group.double() for group in one_hot_weights(space, genotype)]
    with torch.no_grad():
        for one, other in zip(network.forward_both(x), supernet(x, weights), strict=True):
            assert float((one - other).norm() / other.norm()) < 1e-10


def test_inheriting_names_what_does_not_fit():
    space = find_space("darts")
    genotype = random_genotype(space, 3)
    supernet = SuperNet(space, 5, cells=3, channels=4, affine=True)
    with pytest.raises(InputError, match="expected 4 cells as in network, got 3"):
        inherit_weights(DerivedNetwork(genotype, 5, cells=4, channels=4), supernet)
    with pytest.raises(InputError, match=r"expected weights of shapes \[\(9, 3, 3, 3\)\] at stem"):
        inherit_weights(DerivedNetwork(genotype, 5, cells=3, channels=3), supernet)
    with pytest.raises(InputError, match="expected BN without affine at"):
        inherit_weights(DerivedNetwork(genotype, 5, cells=3, channels=4, affine=False, pool_norm=True), supernet)
    large = dataclasses.replace(genotype.cells[0].edges[0], op="sep_conv_7x7")
    normal = dataclasses.replace(genotype.cells[0], edges=(large, *genotype.cells[0].edges[1:]))
    genotype = dataclasses.replace(genotype, cells=(normal, genotype.cells[1]))
    with pytest.raises(InputError, match=r"expected sep_conv_7x7 among the candidates at cells\[0\].edges.2_"):
        inherit_weights(DerivedNetwork(genotype, 5, cells=3, channels=4), supernet)


@pytest.mark.parametrize("size", [(32, 32), (8, 8), (9, 7), (1, 1)])
@pytest.mark.parametrize("form", ["cifar", "imagenet"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_image_and_width(size, form, channels):
    network = DerivedNetwork(find_genotype("PC_DARTS_CIFAR"), 5, 2, cells=3, channels=channels, form=form,
                             auxiliary=True)  # fmt: skip
    network.drop_path = 0.5
    logits, beside = network.forward_both(torch.randn(3, 2, *size))
    assert logits.shape == (3, 5)
    assert beside is not None
    assert beside.shape == (3, 5)
    (logits.sum() + beside.sum()).backward()
    assert all(weight.grad is not None for weight in network.parameters())


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("stride", [1, 2])
def test_operators_keep_channels_and_halve_sizes(name, stride):
    operator = make_operator(name, 4, stride)
    assert operator(torch.randn(2, 4, 7, 5)).shape == ((2, 4, 7, 5) if stride == 1 else (2, 4, 4, 3))


def test_drop_path_drops_samples_and_keeps_the_mean():
    x = torch.ones(20_000, 2, 3, 1)
    y = drop_path(x, 0.25)
    assert set(y.flatten().tolist()) == {0.0, float(1 / torch.tensor(0.75))}
    assert bool((y == y[:, :1, :1]).all())  # whole samples
    assert abs(float(y.mean()) - 1) < 0.02
    assert drop_path(x, 0.0) is x


def test_drop_path_leaves_identities_and_evaluation_alone():
    genotype = find_genotype(
        "Genotype(normal=[('skip_connect', 0), ('skip_connect', 1)], normal_concat=[2], "
        "reduce=[('skip_connect', 0), ('skip_connect', 1)], reduce_concat=[2])"
    )
    network = DerivedNetwork(genotype, 5, cells=3, channels=4)
    assert [cell.reduction for cell in network.plan.cells] == [False, True, True]
    x = torch.randn(4, 3, 8, 8)
    network.eval()
    before = network(x)
    network.drop_path = 0.9
    assert torch.equal(network(x), before)
    cell = network.cells[0].train()  # identities alone
    state = torch.randn(4, 12, 8, 8)
    assert torch.equal(cell(state, state, 0.9), cell(state, state, 0.0))


@pytest.mark.parametrize(
    ("told", "settings"),
    [
        ("form: expected cifar or imagenet for the space darts, got 'mnist'", {"form": "mnist"}),
        ("classes: expected at least 1, got 0", {"classes": 0}),
        ("channels: expected at least 1, got -3", {"channels": -3}),
        ("--cells: expected at least 3 for the space darts", {"cells": 2}),
    ],
)
def test_wrong_settings(told, settings):
    with pytest.raises(InputError, match=told):
        DerivedNetwork(find_genotype("DARTS_V1"), **{"classes": 10, **settings})


def test_depth_of_genotypes_without_a_space():
    genotype = dataclasses.replace(find_genotype("DARTS_V1"), space="unheard of")
    assert [cell.reduction for cell in DerivedNetwork(genotype, 10, cells=3, channels=2).plan.cells] == [
        False, True, True,
    ]  # fmt: skip
    for cells in (0, 2, 1001):
        with pytest.raises(InputError, match="--cells: expected enough cells for normal and reduction ones, at most"):
            DerivedNetwork(genotype, 10, cells=cells, channels=2)
    genotype = dataclasses.replace(find_genotype(SKIPS), space="unheard of")
    assert DerivedNetwork(genotype, 10, cells=3, channels=2).plan.halved == (1, 2)
    with pytest.raises(InputError, match="--cells: expected enough cells for one in each stage"):
        DerivedNetwork(genotype, 10, cells=2, channels=2)


def test_depth_of_cells_of_their_own():
    genotype = random_genotype(find_space("s2"), 5)
    assert len(DerivedNetwork(genotype, 10, channels=2).cells) == 5
    with pytest.raises(InputError, match="--cells: expected 5, the cells of the genotype, got 4"):
        DerivedNetwork(genotype, 10, channels=2, cells=4)


def test_without_the_compiled_library():
    """Made impossible to import, in a process of its own: importing, building, running and training all work."""
    script = (
        "import sys\n"
        "sys.modules['amended_darts_ext'] = None\n"
        "import torch\n"
        "from amended_darts.derived import DerivedNetwork, count_multiply_adds\n"
        "from amended_darts.published import find_genotype\n"
        "network = DerivedNetwork(find_genotype('DARTS_V2'), 10, cells=3, channels=4, auxiliary=True)\n"
        "logits, beside = network.forward_both(torch.randn(2, 3, 32, 32))\n"
        "(logits + beside).sum().backward()\n"
        "print(count_multiply_adds(network, (3, 32, 32)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0

"""The super-network against an independent plain torch.nn DARTS network, and the fused one against the reference."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from amended_darts.architecture import Architecture
from amended_darts.errors import InputError
from amended_darts.spaces import Space, find_space
from amended_darts.supernet import SuperNet
from amended_darts.supernet.preprocessing import Preprocess

from .plain_darts import Cell, Halve, PlainDarts

SIZES = {"classes": 5, "in_channels": 3, "cells": 4, "channels": 3}


def agree(ours, theirs, tolerance=1e-9):
    """Norm of the difference over the norm of the truth, with the largest norm compared as the yardstick of noise."""
    floor = 1e-3 * max(float(value.norm()) for value in theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        assert float((one - other).norm()) <= tolerance * (float(other.norm()) + floor)


def pair(space, seed=0, **settings):
    """Two networks with the same weights: reference and fused."""
    torch.manual_seed(seed)
    reference = SuperNet(space, **{**SIZES, **settings}, implementation="reference").double()
    fused = SuperNet(space, **{**SIZES, **settings}, implementation="fused").double()
    fused.load_state_dict(reference.state_dict())
    return reference, fused


def loss_and_gradients(network, architecture, x, labels):
    logits = network(x, architecture.weights())
    inputs = [*architecture.parameters(), *network.parameters()]
    gradients = torch.autograd.grad(F.cross_entropy(logits, labels), inputs, allow_unused=True)
    return [logits.detach(), *(torch.zeros_like(i) if g is None else g for i, g in zip(inputs, gradients, strict=True))]


def batch(height=9, width=7, channels=3):
    torch.manual_seed(1)
    return torch.randn(4, channels, height, width, dtype=torch.float64), torch.tensor([0, 3, 1, 4])


def copy_weights(ours, plain):
    """Gives the plain network the weights of ours, module by module."""

    def copy(source, target):
        assert source.shape == target.shape
        target.data.copy_(source.data)

    def copy_all(source, target):
        for one, other in zip(source.parameters(), target.parameters(), strict=True):
            copy(one, other)

    copy_all(ours.stem, plain.stem)
    copy_all(ours.classifier, plain.head)
    for cell, other in zip(ours.cells, plain.cells, strict=True):
        copy_all(cell.preprocess0, other.pre0)
        copy_all(cell.preprocess1, other.pre1)
        edges = [(node, source) for node in range(2, 2 + other.nodes) for source in range(node)]
        for source, calls in enumerate(cell.states):
            for call in calls:
                for edge, node in enumerate(call.nodes):
                    operators = other.edges[edges.index((node, source))]
                    for name, operator in zip(call.candidates, operators, strict=True):
                        if list(operator.parameters()):
                            copy_all(call.mixed.params[edge][name], operator)


@pytest.mark.parametrize("name", ["darts", "darts8"])
@pytest.mark.parametrize("size", [(8, 8), (9, 7)])
def test_reference_is_the_plain_darts_network(name, size):
    """Same logits, same gradients of α, same gradients of x; in evaluation too, after a training pass."""
    space = find_space(name)
    ours, _ = pair(space)
    plain = PlainDarts(
        space.normal[0], SIZES["classes"], SIZES["in_channels"], SIZES["cells"], SIZES["channels"]
    ).double()
    copy_weights(ours, plain)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in plain.parameters())
    architecture = Architecture(space, SIZES["cells"]).double()
    for alpha in architecture.parameters():
        torch.nn.init.normal_(alpha)
    x, labels = batch(*size)
    x.requires_grad_()
    for mode in (True, False):
        ours.train(mode)
        plain.train(mode)
        results = []
        for logits in (ours(x, architecture.weights()), plain(x, *(a.softmax(-1) for a in architecture.parameters()))):
            gradients = torch.autograd.grad(F.cross_entropy(logits, labels), [*architecture.parameters(), x])
            results.append([logits.detach(), *gradients])
        agree(*results)


SPACES = {
    "darts": find_space("darts"),
    "s2": find_space("s2"),
    "nasbench201": find_space("nasbench201"),
    "robust-s1": find_space("robust-s1"),
    "robust-s3": find_space("robust-s3"),
    "mixed": Space(  # candidates that differ from edge to edge, in number too, and with none
        "mixed",
        2,
        normal=(("skip_connect", "sep_conv_3x3"), ("none", "dil_conv_5x5", "max_pool_3x3"), *[("sep_conv_3x3",)] * 3),
        reduction=(("skip_connect", "avg_pool_3x3"), ("skip_connect", "sep_conv_5x5"), *[("none", "skip_connect")] * 3),
    ),
}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("training", [True, False])
def test_fused_is_reference(name, training):
    space = SPACES[name]
    reference, fused = pair(space)
    architecture = Architecture(space, SIZES["cells"]).double()
    x, labels = batch()
    reference(x, architecture.weights())  # running statistics that are not those of the first batch
    fused.load_state_dict(reference.state_dict())
    reference.train(training)
    fused.train(training)
    agree(loss_and_gradients(fused, architecture, x, labels), loss_and_gradients(reference, architecture, x, labels))
    agree(*([value.double() for value in network.state_dict().values()] for network in (fused, reference)))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("implementation", ["fused", "reference"])
@pytest.mark.parametrize("channels", [(6, 4), (5, 7), (24, 3)])
@pytest.mark.parametrize("halve", [False, True])
def test_preprocessing_is_the_plain_modules(halve, channels, implementation, dtype, layout):
    """Outputs, gradients and running statistics, then evaluation with them."""
    torch.manual_seed(0)
    ours = Preprocess(*channels, halve, implementation=implementation).to(dtype)
    plain = (Halve if halve else Cell.conv)(*channels).to(dtype)
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        other.data.copy_(one.data)
    x = torch.randn(3, channels[0], 9, 6, dtype=dtype).contiguous(memory_format=layout).requires_grad_()
    for _ in range(2):
        results = []
        for module in (ours, plain):
            y = module(x)
            results.append([y.detach(), *torch.autograd.grad(y.sin().sum(), [x, *module.parameters()])])
        agree(*results, tolerance=1e-9 if dtype == torch.float64 else 1e-5)
        assert results[0][0].is_contiguous(memory_format=layout)
        ours.eval()
        plain.eval()
    buffers = dict(plain.named_buffers())
    for name in ("running_mean", "running_var"):
        (other,) = (value for key, value in buffers.items() if key.endswith(name))
        torch.testing.assert_close(ours.state_dict()[f"mixed.{name}"][0], other)


@pytest.mark.parametrize("halve", [False, True])
def test_preprocessing_keeps_its_input_alone(halve):
    """Of what autograd saves, all but the input and the parameters is as small as a row of statistics."""
    module = Preprocess(8, 6, halve)
    x = torch.randn(4, 8, 10, 10, requires_grad=True)
    own = {t.untyped_storage().data_ptr() for t in (x, *module.parameters())}
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        module(x)
    assert any(t.untyped_storage().data_ptr() in own and t.shape == x.shape for t in saved)
    assert all(t.untyped_storage().data_ptr() in own or t.numel() <= 6 for t in saved)


def test_names_in_the_state_dict_are_fixed():
    network = SuperNet(find_space("s2"), 5, cells=4, channels=3)
    names = [name for name in network.state_dict() if "preprocess" in name and name.startswith("cells.2.")]
    assert names == [
        "cells.2.preprocess0.mixed.running_mean",
        "cells.2.preprocess0.mixed.running_var",
        "cells.2.preprocess0.mixed.params.skip_connect.0",
        "cells.2.preprocess0.mixed.params.skip_connect.1",
        "cells.2.preprocess1.mixed.running_mean",
        "cells.2.preprocess1.mixed.running_var",
        "cells.2.preprocess1.mixed.params.nor_conv_1x1.0",
    ]
    reference = SuperNet(find_space("s2"), 5, cells=4, channels=3, implementation="reference")
    assert list(reference.state_dict()) == list(network.state_dict())


@pytest.mark.parametrize("implementation", ["fused", "reference"])
def test_weights_per_sample(implementation):
    """[E, N, K] with equal rows is [E, K]."""
    space = find_space("s2")
    network = SuperNet(space, **SIZES, implementation=implementation).double()
    weights = [group.detach() for group in Architecture(space, 4).double().weights()]
    x, _ = batch()
    rows = [group.unsqueeze(1).expand(-1, len(x), -1) for group in weights]
    agree([network(x, rows).detach()], [network(x, weights).detach()])


def test_network_holds_no_alpha_and_one_call_per_state():
    space = find_space("darts")
    network = SuperNet(space, **SIZES)
    assert not any("alpha" in name for name, _ in network.named_parameters())
    assert [[len(call.nodes) for call in calls] for calls in network.cells[0].states] == [[4], [4], [3], [2], [1]]
    assert [calls[0].mixed.stride for calls in network.cells[1].states] == [2, 2, 1, 1, 1]
    assert [calls[0].mixed.stride for calls in network.cells[0].states] == [1] * 5


def test_parameter_count_of_the_2018_network():
    """8 cells, 16 channels, 10 classes: 1.93 M weights."""
    network = SuperNet(find_space("darts8"), 10)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == 1.93


@pytest.mark.parametrize(
    ("name", "cells", "least"), [("darts", 2, 3), ("darts", 0, 3), ("s2", 0, 1), ("nasbench201", 2, 3)]
)
def test_too_few_cells(name, cells, least):
    with pytest.raises(InputError, match=f"--cells: expected at least {least} for the space {name} .*, got {cells}"):
        SuperNet(find_space(name), 10, cells=cells)


def test_architecture():
    """Rows sum to one, filling has weight zero, a fresh α is undecided, and the genotype follows α."""
    space = SPACES["mixed"]
    torch.manual_seed(0)
    architecture = Architecture(space, 4)
    normal, _ = architecture.weights()
    assert normal.shape == (5, 3)
    torch.testing.assert_close(normal.sum(1), torch.ones(5))
    assert normal[0, 2] == 0
    assert normal[4, 1:].tolist() == [0, 0]
    assert 0 < architecture.alphas[0].detach().abs().max() < 0.01
    assert Architecture(find_space("darts")).entropy() == pytest.approx(torch.tensor(7.0).log().item(), abs=1e-4)
    with torch.no_grad():
        architecture.alphas[0][1, 2] = 3.0
        architecture.alphas[0][1, 0] = 9.0  # none
    edges = {(edge.node, edge.input): edge.op for edge in architecture.genotype().cells[0].edges}
    assert edges[2, 1] == "max_pool_3x3"
    gradient = torch.autograd.grad(architecture.weights()[0].square().sum(), architecture.alphas[0])[0]
    assert torch.isfinite(gradient).all()
    assert gradient[4].tolist() == [0, 0, 0]

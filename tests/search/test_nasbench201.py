"""The super-network of NAS-Bench-201 against an independent one in torch.nn; the notation there and back."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from amended_darts.architecture import Architecture
from amended_darts.errors import InputError
from amended_darts.genotype import Genotype
from amended_darts.nasbench201 import from_string, to_string
from amended_darts.spaces import find_space
from amended_darts.supernet import SuperNet
from hypothesis import given, settings
from hypothesis import strategies as st

from .plain_nasbench201 import PlainNasBench201, copy_weights
from .test_genotype import genotypes
from .test_supernet import agree, batch

COLLAPSED = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"


@pytest.mark.parametrize("implementation", ["fused", "reference"])
@pytest.mark.parametrize("cells", [3, 6])
def test_supernet_is_the_plain_network(implementation, cells):
    """Same logits, same gradients of α and x, in training and then in evaluation."""
    space = find_space("nasbench201")
    torch.manual_seed(0)
    ours = SuperNet(space, 5, cells=cells, channels=4, implementation=implementation).double()
    plain = PlainNasBench201(space.normal[0], 5, 3, cells // 3, 4).double()
    copy_weights(ours, plain)
    architecture = Architecture(space, cells).double()
    torch.nn.init.normal_(architecture.alphas[0])
    x, labels = batch(8, 12)
    x.requires_grad_()
    for mode in (True, False):
        ours.train(mode)
        plain.train(mode)
        results = []
        for logits in (ours(x, architecture.weights()), plain(x, architecture.alphas[0].softmax(-1))):
            gradients = torch.autograd.grad(F.cross_entropy(logits, labels), [architecture.alphas[0], x])
            results.append([logits.detach(), *gradients])
        agree(*results)


def test_odd_sizes():
    space = find_space("nasbench201")
    network = SuperNet(space, 5, cells=3, channels=4)
    assert network(torch.randn(2, 3, 9, 7), Architecture(space, 3).weights()).shape == (2, 5)


def test_collapsed_architecture_of_the_benchmark():
    genotype = from_string(COLLAPSED)
    assert to_string(genotype) == COLLAPSED
    assert genotype.operator_counts() == {"skip_connect": 6}
    assert genotype.cells[0].outputs == (3,)
    assert json.loads(genotype.to_json())["string"] == COLLAPSED


@given(genotypes(name="nasbench201"))
@settings(max_examples=30, deadline=None)
def test_notation_round_trip(genotype):
    assert from_string(to_string(genotype)) == genotype
    assert Genotype.from_json(genotype.to_json()) == genotype


FAULTS = {
    "": "expected |op~0|... for node 1, got ''",
    "skip_connect~0": "expected |op~0|... for node 1, got 'skip_connect~0'",
    "|skip_connect~0|+||": "expected |op~0|... for node 2, got '||'",
    "|skip~0|": "node 1: expected one of none,",
    "|none~1|": "node 1: expected an earlier state, 0 to 0, after ~, got 'none~1'",
    "|none~0|+|none~-1|none~1|": "node 2: expected an earlier state, 0 to 1, after ~, got 'none~-1'",
    "|none~0|+|none~0|none~0|+|none~0|none~1|none~2|": "expected 6 edges into 3 nodes, each once",
    "|none~0|+|none~0|none~1|": "expected 6 edges into 3 nodes, each once, for the space nasbench201, got 3 into 2",
    COLLAPSED.replace("skip_connect~2", "sep_conv_3x3~2"): "node 3: expected one of none, skip_connect, nor_conv_1x1",
    "|none~0|+" * 10_000: "expected at most 64 nodes, got 10001",
}


@pytest.mark.parametrize("text", FAULTS, ids=range(len(FAULTS)))
def test_strings_that_are_none(text):
    with pytest.raises(InputError) as caught:
        from_string(text)
    assert str(caught.value).startswith(f"architecture string: {FAULTS[text]}")


@given(st.text(alphabet="|+~012nosekip_cta", max_size=60))
@settings(max_examples=200, deadline=None)
def test_fuzz_strings(text):
    told = ""
    try:
        assert to_string(from_string(text)) == text.strip()
    except InputError as error:
        told = str(error)
    assert not told or told.startswith("architecture string: ")
    assert "\n" not in told


def test_string_must_say_what_the_cell_says():
    plain = json.loads(from_string(COLLAPSED).to_json())
    plain["string"] = COLLAPSED.replace("skip_connect~2", "none~2")
    with pytest.raises(InputError, match=r"^genotype: \$\.string: expected .*skip_connect~2.*, as the cell says, got "):
        Genotype.from_json(json.dumps(plain))


def test_only_one_cell_of_one_input_has_a_string():
    genotype = Genotype("darts", ())
    with pytest.raises(InputError, match="genotype: expected one cell of one input, as in nasbench201, got 0 cells"):
        to_string(genotype)

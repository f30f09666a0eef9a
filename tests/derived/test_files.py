"""Networks in two files: what is read is what was saved, whatever else is in the files is one sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import json

import pytest
import safetensors.torch
import torch
from amended_darts.derived.files import GENOTYPE, WEIGHTS, load_network, save_network
from amended_darts.derived.spec import NetworkSpec
from amended_darts.errors import InputError, one_line
from amended_darts.published import find_genotype
from hypothesis import given, settings
from hypothesis import strategies as st

SPEC = NetworkSpec(find_genotype("PC_DARTS_CIFAR"), "cifar", 3, 2, ("cat", "dog", "öl"), (1.0, 2.0), (3.0, 4.5), (9, 7))


@pytest.fixture
def saved(tmp_path):
    network = SPEC.build(auxiliary=True)
    network(torch.randn(4, 2, 9, 7))  # running statistics of its own
    save_network(tmp_path, SPEC, network.state_dict())
    return tmp_path, network.eval()


def test_what_is_loaded_is_what_was_saved(saved):
    folder, network = saved
    images = torch.randn(3, 2, 9, 7)
    for arguments in ((folder,), (str(folder / WEIGHTS),), (folder / WEIGHTS, folder / GENOTYPE)):
        loaded, spec = load_network(*arguments)
        assert spec == SPEC
        assert torch.equal(loaded(images), network(images))
        assert not loaded.training
    assert loaded.auxiliary is None  # only training needs it
    assert sorted(path.name for path in folder.iterdir()) == [GENOTYPE, WEIGHTS]


def resave(folder, change):
    """The file with its header changed."""
    path = folder / WEIGHTS
    with safetensors.safe_open(path, "pt") as file:
        facts, weights = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(facts, weights)
    safetensors.torch.save_file(weights, path, facts)


def spec_with(**values):
    def change(facts, weights):
        facts["network"] = json.dumps({**json.loads(facts["network"]), **values})

    return change


@pytest.mark.parametrize(
    ("told", "change"),
    [
        ("expected a network saved by amended-darts export", lambda facts, weights: facts.clear()),
        ("expected a network of version 1, got version 7", lambda facts, weights: facts.update(version="7")),
        ("header: expected JSON, got a syntax error", lambda facts, weights: facts.update(network="{")),
        (r"header: \$: expected an object", lambda facts, weights: facts.update(network="[]")),
        (r"header: \$: expected the key \"mean\"", lambda facts, weights: facts.update(
            network='{"form": "cifar", "cells": 1, "channels": 1, "classes": ["a"], "std": [1], "image": [1, 1]}')),
        (r"\$.form: expected one of cifar, imagenet, nasbench201, got \"mnist\"", spec_with(form="mnist")),
        (r"\$.channels: expected a number, an integer from 1 to \d+, got -2", spec_with(channels=-2)),
        (r"\$.cells: expected a number, an integer from 1 to \d+, got 99999999", spec_with(cells=99999999)),
        (r"\$.std: expected 2 numbers other than 0", spec_with(std=[1.0, 0.0])),
        (r"\$.mean\[0\]: expected a number, got \"x\"", spec_with(mean=["x", 1.0])),
        (r"\$.classes\[1\]: expected a class name, got 3", spec_with(classes=["a", 3])),
        (r"\$.image: expected height and width, got \[1\]", spec_with(image=[1])),
        ("do not fit: size mismatch", spec_with(channels=90000)),
        ("do not fit: Missing key", spec_with(cells=4)),
        ("do not fit: Unexpected key", lambda facts, weights: weights.update(more=torch.zeros(1))),
        ("do not fit: Missing key.*classifier.bias", lambda facts, weights: weights.pop("classifier.bias")),
    ],
)  # fmt: skip
def test_headers_and_tensors_that_do_not_fit(saved, told, change):
    folder, _ = saved
    resave(folder, change)
    with pytest.raises(InputError, match=told) as raised:
        load_network(folder)
    assert len(one_line(raised.value)) < 500


def test_another_genotype(saved):
    """Also one whose weights would have the same shapes."""
    folder, _ = saved
    edges = list(SPEC.genotype.cells[0].edges)
    at = next(index for index, edge in enumerate(edges) if edge.op == "avg_pool_3x3")
    edges[at] = dataclasses.replace(edges[at], op="max_pool_3x3")
    cells = dataclasses.replace(SPEC.genotype.cells[0], edges=tuple(edges)), SPEC.genotype.cells[1]
    dataclasses.replace(SPEC.genotype, cells=cells).save(folder / GENOTYPE)
    with pytest.raises(InputError, match="expected the genotype that it was saved with, got another one"):
        load_network(folder)
    (folder / GENOTYPE).unlink()
    with pytest.raises(InputError, match=r"genotype: expected a JSON file, cannot read .*genotype.json"):
        load_network(folder)


def test_missing_weights(saved):
    folder, _ = saved
    (folder / WEIGHTS).unlink()
    with pytest.raises(InputError, match=r"network: expected a .safetensors file, cannot read .*network.safetensors"):
        load_network(folder)


@given(st.data())
@settings(max_examples=40)
def test_damaged_files(tmp_path_factory, data):
    """Cut short, or with bytes changed in the header: loaded as saved or refused, never anything else."""
    folder = tmp_path_factory.mktemp("damaged")
    save_network(folder, SPEC, SPEC.build().state_dict())
    path = folder / WEIGHTS
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    else:
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(0, 3000))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
    with contextlib.suppress(InputError):
        load_network(folder)

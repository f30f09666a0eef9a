"""Space files: what is written is read again, the documented example is searched, and every fault is one sentence with
its JSON path."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
import torch
from amended_darts import cli
from amended_darts.architecture import Architecture
from amended_darts.derived import DerivedNetwork
from amended_darts.errors import InputError
from amended_darts.genotype import Genotype, derive
from amended_darts.spaces import OPERATORS, SPACES, Space, find_space, parse_space, space_to_json
from amended_darts.supernet import SuperNet
from amended_darts.topology import topology_of
from hypothesis import given, settings
from hypothesis import strategies as st

from .test_genotype import junk

DOCUMENT = Path(__file__).parents[2] / "docs" / "spaces.md"


def example():
    return re.search(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[1]


@st.composite
def spaces(draw):
    """Any space that a file can say."""
    skeleton = draw(st.sampled_from(["darts", "nasbench201"]))
    inputs = 2 if skeleton == "darts" else 1
    nodes = draw(st.integers(1, 4))
    states = range(inputs, inputs + nodes)
    edges = []
    for node in states:
        edges += [(node, source) for source in sorted(draw(st.sets(st.integers(0, node - 1), min_size=1)))]
    names = st.lists(st.sampled_from(OPERATORS), min_size=1, unique=True).filter(lambda found: found != ["none"])
    reductions = draw(st.sampled_from([((1, 3), (2, 3)), ((1, 2),), ()]))
    two_types = skeleton == "darts" and reductions
    return Space(
        draw(st.text(min_size=1, max_size=9).filter(lambda text: text.isprintable() and text not in SPACES)),
        nodes,
        normal=tuple(tuple(draw(names)) for _ in edges),
        reduction=tuple(tuple(draw(names)) for _ in edges) if two_types else (),
        shared=draw(st.booleans()),
        cells=draw(st.integers(3, 9)),
        channels=draw(st.integers(1, 64)),
        kept=draw(st.none() | st.integers(1, 3)),
        reductions=reductions,
        edges=tuple(edges),
        skeleton=skeleton,
        keep_none=draw(st.booleans()),
        pool_norm=draw(st.booleans()),
    )


@given(spaces())
@settings(max_examples=60, deadline=None)
def test_round_trip(space):
    assert parse_space(space_to_json(space)) == space


@given(spaces(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_genotypes_carry_the_space(space, draw):
    """A genotype of a space of one's own is read anywhere, and checked against that space."""
    groups = space.groups(space.cells)
    weights = [[[draw.random() for _ in names] for names in group.candidates] for group in groups]
    genotype = derive(space, space.cells, weights)
    again = Genotype.from_json(genotype.to_json())
    assert again == genotype
    assert again.definition == space


@given(spaces(), st.integers(0, 2**31))
@settings(max_examples=12, deadline=None)
def test_any_space_can_be_searched_and_derived(space, seed):
    """Its super-network computes and has gradients of α; the genotype that α gives makes a derived network."""
    torch.manual_seed(seed)
    network = SuperNet(space, 3, cells=space.cells, channels=2, implementation="reference")
    architecture = Architecture(space, space.cells)
    x = torch.randn(2, 3, 8, 8)
    logits = network(x, architecture.weights())
    assert logits.shape == (2, 3)
    gradients = torch.autograd.grad(logits.square().sum(), list(architecture.parameters()), allow_unused=True)
    assert all(gradient is None or torch.isfinite(gradient).all() for gradient in gradients)
    genotype = Genotype.from_json(architecture.genotype().to_json())
    derived = DerivedNetwork(genotype, 3, cells=space.cells, channels=2)
    assert derived(x).shape == (2, 3)
    kept = topology_of(genotype)
    network.keep_edges(kept)
    assert network(x, architecture.weights()).shape == (2, 3)


@pytest.mark.parametrize("name", SPACES)
def test_built_in_spaces_can_be_written(name):
    space = SPACES[name]
    assert parse_space(space_to_json(space)) == space


def test_documented_example(tmp_path, monkeypatch, capsys):
    """It is searched, its size is told, and its genotype says where it comes from."""
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text(example(), encoding="utf-8")
    assert cli.main(["search", "--space", "mine.json", "--channels", "2", "--epochs", "1", "--out", "run"]) == 0
    found = Genotype.load(Path("run/genotype.json"))
    assert found.definition == find_space("mine.json")
    assert [len(cell.edges) for cell in found.cells] == [6, 6]
    capsys.readouterr()
    Path("mine.json").write_text(example().replace('"kept": 2', '"kept": 1'), encoding="utf-8")
    assert cli.main(["search", "--config", "run/config.json", "--resume"]) == 2
    assert "this search was started with " in capsys.readouterr().err
    Path("mine.json").write_text(example(), encoding="utf-8")
    assert cli.main(["search", "--config", "run/config.json", "--resume"]) == 0
    capsys.readouterr()
    assert cli.main(["info", "--space", "mine.json"]) == 0
    # Node 2 keeps both edges, node 3 too, node 4 two of three: 3·3 · 2·3 · 3·9, for both types of cells.
    assert "  mine: 2,125,764 = 2.1e+6 (3 nodes, two cell types)" in capsys.readouterr().out


def test_documented_table_of_spaces():
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, space in SPACES.items():
        size = space.size()
        shown = f"{size:,}" if size < 10**6 else f"{size:.1e}".replace("e+0", "e").replace("e+", "e")
        assert re.search(rf"\| `{name}` \|.*\| {re.escape(shown)} \|", text), name
    for name in OPERATORS:
        assert f"`{name}`" in text


FAULTS = {
    "$: expected an object with": lambda s: [],
    '$: expected the key "nodes", got': lambda s: s.pop("nodes") and s,
    '$: expected the keys "name", "nodes", ': lambda s: s | {"node": 1},
    '$: expected the key "candidates" or "edges"': lambda s: s.pop("candidates") and s.pop("edges") and s,
    "$.name: expected the name of the space, got 7": lambda s: s | {"name": 7},
    "$.name: expected printable text": lambda s: s | {"name": "darts"},
    "$.nodes: expected the computed states of a cell, an integer from 1 to 64, got 1000000": (
        lambda s: s | {"nodes": 10**30}
    ),
    "$.nodes: expected the computed states of a cell, an integer from 1 to 64, got 3.0": lambda s: s | {"nodes": 3.0},
    "$.cells: expected the depth, an integer from 1 to 1000, got 0": lambda s: s | {"cells": 0},
    "$.cells: expected at least 3, so that each type of cell or stage occurs, got 2": lambda s: s | {"cells": 2},
    "$.channels: expected the width of the first cell, an integer from 1 to 16384": lambda s: s | {"channels": 10**9},
    "$.skeleton: expected one of darts, nasbench201, got": lambda s: s | {"skeleton": "resnet"},
    "$.alpha: expected one of shared, per-cell, got true": lambda s: s | {"alpha": True},
    '$.kept: expected "all" or the number of edges that a node keeps, got "some"': lambda s: s | {"kept": "some"},
    "$.none: expected true or false, got 0": lambda s: s | {"none": 0},
    "$.reductions[1]: expected each fraction once, got [2, 6]": lambda s: s | {"reductions": [[1, 3], [2, 6]]},
    "$.reductions[0][0]: expected a numerator, an integer from 0 to 2, got 3": lambda s: s | {"reductions": [[3, 3]]},
    "$.candidates.normal[3]: expected each operator once, got skip_connect again": (
        lambda s: s["candidates"]["normal"].append("skip_connect") or s
    ),
    "$.candidates.reduction[0]: expected one of none,": lambda s: s["candidates"].update(reduction=["conv"]) or s,
    "$.candidates.normal: expected an operator other than none": lambda s: s["candidates"].update(normal=["none"]) or s,
    '$.candidates: expected the key "reduction"': lambda s: s["candidates"].pop("reduction") and s,
    "$.edges[2].candidates: expected a list of operators": lambda s: s["edges"][2].update(candidates=[]) or s,
    "$.edges[3].input: expected an earlier state, an integer from 0 to 2, got 3": (
        lambda s: s["edges"][3].update(input=3) or s
    ),
    "$.edges[4].input: expected an earlier state, an integer from 0 to 3, got 9": (
        lambda s: s["edges"][4].update(input=9) or s
    ),
    "$.edges[6].node: expected a node, an integer from 2 to 4, got 5": lambda s: s["edges"][6].update(node=5) or s,
    "$.edges[3]: expected each pair of states once, got a second edge from 1 to 3": (
        lambda s: s["edges"][3].update(input=1) or s
    ),
    "$.edges: expected an edge into every node from 2 to 5, got none into 5": lambda s: s | {"nodes": 4},
    '$.edges[0]: expected the key "candidates", here or at the top': lambda s: s.pop("candidates") and s,
}


@pytest.mark.parametrize("expected", FAULTS)
def test_faults_name_their_path(expected, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(FAULTS[expected](json.loads(example()))), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        find_space(str(path))
    assert str(caught.value).startswith(f"{path}: {expected}")
    assert "\n" not in str(caught.value)


def test_command_line_tells_the_fault(tmp_path, capsys):
    (tmp_path / "mine.json").write_text("{}")
    assert cli.main(["search", "--space", str(tmp_path / "mine.json")]) == 2
    assert capsys.readouterr().err == (
        f'amended-darts: {tmp_path}/mine.json: $: expected the key "name", got an object without it\n'
    )
    assert cli.main(["search", "--space", "absent.json"]) == 2
    assert capsys.readouterr().err.startswith("amended-darts: --space: expected a JSON file, cannot read absent.json")


def test_definition_of_another_name():
    space = parse_space(example())
    genotype = derive(space, space.cells, [[[1.0] * len(n) for n in g.candidates] for g in space.groups(space.cells)])
    plain = json.loads(genotype.to_json())
    plain["definition"]["name"] = "yours"
    with pytest.raises(InputError, match=r'^genotype: \$.definition.name: expected "mine", as \$.space says'):
        Genotype.from_json(json.dumps(plain))
    plain["definition"]["nodes"] = 10**40
    with pytest.raises(InputError, match=r"^genotype: \$.definition.nodes: expected the computed states of a cell"):
        Genotype.from_json(json.dumps(plain))


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_fuzz_damaged_texts(data):
    """A piece of the text gone, twice, or another one in its place: a sentence, or a space or genotype after all."""
    space = parse_space(example())
    genotype = derive(space, space.cells, [[[1.0] * len(n) for n in g.candidates] for g in space.groups(space.cells)])
    read, text = data.draw(st.sampled_from([(parse_space, example()), (Genotype.from_json, genotype.to_json())]))
    first = data.draw(st.integers(0, len(text)))
    last = data.draw(st.integers(first, min(first + 12, len(text))))
    piece = data.draw(st.sampled_from(["", text[first:last] * 2, "{", "]", '"', "9" * 5000, "1e999", "NaN", "\x00"]))
    told = ""
    try:
        assert read(text[:first] + piece + text[last:]) is not None
    except InputError as error:
        told = str(error)
    assert told == "" or told.startswith(("space: ", "genotype: "))
    assert "\n" not in told
    assert len(told) < 500


@given(value=junk | st.sampled_from([10**40, "1e400", [[1, 0]], {"normal": []}, True]), data=st.data())
@settings(max_examples=300, deadline=None)
def test_fuzz_any_value_anywhere(value, data):
    """Junk in place of any part is refused with an InputError of one line, or was a valid space after all."""
    plain = json.loads(example())
    target, key = plain, data.draw(st.sampled_from(sorted(plain)))
    while isinstance(target[key], dict | list) and target[key] and data.draw(st.booleans()):
        target = target[key]
        key = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
    if data.draw(st.booleans()):
        target[key] = copy.deepcopy(value)
    elif isinstance(target, dict):
        del target[key]
    else:
        target.insert(key, copy.deepcopy(target[key]))
    told, space = "", None
    try:
        space = parse_space(json.dumps(plain))
    except InputError as error:
        told = str(error)
    if space is None:
        assert told.startswith("space: $")
        assert "\n" not in told
        assert len(told) < 400
    else:
        assert parse_space(space_to_json(space)) == space
        assert space.size() > 0

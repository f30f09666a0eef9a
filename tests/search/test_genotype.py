"""The softmax rule against a brute-force reading of its definition; the JSON file survives the round trip and refuses
everything else in one sentence with the JSON path of the fault."""

from __future__ import annotations

import copy
import json

import pytest
from amended_darts.errors import InputError
from amended_darts.genotype import Cell, Edge, Genotype, derive
from amended_darts.spaces import SPACES, find_space
from hypothesis import given, settings
from hypothesis import strategies as st


@st.composite
def genotypes(draw, name=None):
    space = find_space(name or draw(st.sampled_from(sorted(SPACES))))
    cells = []
    for group in space.groups(draw(st.integers(1, 20))):
        allowed = dict(zip(space.edges, group.candidates, strict=True))
        edges = []
        for node in range(space.inputs, space.inputs + space.nodes):
            for source in sorted(draw(st.permutations(range(node)))[: space.kept]):
                op = draw(st.sampled_from([op for op in allowed[node, source] if op != "none" or space.keep_none]))
                edges.append(Edge(node, source, op))
        cells.append(Cell(tuple(edges), group.reduction, space.inputs))
    return Genotype(space.name, tuple(cells))


@given(genotypes())
@settings(max_examples=50, deadline=None)
def test_round_trip(genotype):
    assert Genotype.from_json(genotype.to_json()) == genotype
    plain = json.loads(genotype.to_json())
    assert plain["space"] == genotype.space
    edge = genotype.cells[0].edges[0]
    assert plain["cells"][0]["edges"][0] == {"node": edge.node, "input": edge.input, "op": edge.op}


def test_file_round_trip(tmp_path):
    genotype = derive(find_space("darts"), 8, [[[1 / 7] * 7] * 14] * 2)
    genotype.save(tmp_path / "genotype.json")
    assert Genotype.load(tmp_path / "genotype.json") == genotype
    assert [path.name for path in tmp_path.iterdir()] == ["genotype.json"]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_softmax_rule(seed):
    """Per node the two edges with the largest weight over operators other than none, each with that operator."""
    import random

    draw = random.Random(seed)
    space = find_space("darts8")
    weights = [[[draw.random() for _ in range(8)] for _ in range(14)] for _ in range(2)]
    for rows in weights:
        for row in rows:
            row[0] = 2.0  # none outweighs everything everywhere, and is kept nowhere
    found = derive(space, 8, weights)
    for cell, rows, group in zip(found.cells, weights, space.groups(8), strict=True):
        for node in range(2, 6):
            kept = [edge for edge in cell.edges if edge.node == node]
            best = {source: max(rows[space.edges.index((node, source))][1:]) for source in range(node)}
            assert [edge.input for edge in kept] == sorted(sorted(best, key=best.__getitem__)[-2:])
            for edge in kept:
                row = rows[space.edges.index((node, edge.input))]
                assert row[group.candidates[0].index(edge.op)] == best[edge.input]


def test_equal_weights_keep_the_first():
    found = derive(find_space("s2"), 1, [[[0.5, 0.5]] * 14])
    assert {edge.op for edge in found.cells[0].edges} == {"skip_connect"}
    assert [(edge.node, edge.input) for edge in found.cells[0].edges[:4]] == [(2, 0), (2, 1), (3, 0), (3, 1)]


def good():
    return json.loads(derive(find_space("darts"), 8, [[[1 / 7] * 7] * 14] * 2).to_json())


FAULTS = {
    "$: expected an object": lambda g: [],
    '$: expected the key "cells", got': lambda g: g.pop("cells") and g,
    '$: expected the keys "space", "cells" alone, got "cell"': lambda g: g | {"cell": 1},
    "$.space: expected the name": lambda g: g | {"space": 3},
    "$.cells: expected a list": lambda g: g | {"cells": {}},
    "$.cells: expected 2 cells for the space darts, got 1": lambda g: g["cells"].pop() and g,
    "$.cells[0]: expected an object": lambda g: g["cells"].__setitem__(0, None) or g,
    "$.cells[1].reduction: expected true or false, got 1": lambda g: g["cells"][1].update(reduction=1) or g,
    "$.cells[1].reduction: expected true in darts, got false": lambda g: g["cells"][1].update(reduction=False) or g,
    "$.cells[0].edges: expected a list of edges, one at least, got []": lambda g: g["cells"][0].update(edges=[]) or g,
    "$.cells[0].edges[3].op: expected one of": lambda g: g["cells"][0]["edges"][3].update(op="__import__('os')") or g,
    "$.cells[0].edges[2].op: expected one of": lambda g: g["cells"][0]["edges"][2].update(op="nor_conv_1x1") or g,
    "$.cells[0].edges[0].node: expected a node, an integer from 2 to 9, got 1000000000000000000000000": (
        lambda g: g["cells"][0]["edges"][0].update(node=10**24) or g
    ),
    "$.cells[0].edges[0].node: expected a node, an integer from 2 to 9, got true": (
        lambda g: g["cells"][0]["edges"][0].update(node=True) or g
    ),
    "$.cells[0].edges[2].input: expected an earlier state, an integer from 0 to 2, got 3": (
        lambda g: g["cells"][0]["edges"][2].update(input=3) or g
    ),
    "$.cells[0].edges[1]: expected each pair of states once, got a second edge from 0 to 2": (
        lambda g: g["cells"][0]["edges"][1].update(input=0) or g
    ),
    "$.cells[0].edges: expected an edge into every node up to 5, got none into 2": (
        lambda g: (
            [g["cells"][0]["edges"].pop(0) for _ in range(2)]
            and [g["cells"][0]["edges"].extend([{"node": 5, "input": 2 + i, "op": "skip_connect"} for i in range(2)])]
            and g
        )
    ),
    "$.cells[0].edges: expected 2 edges into node 5, got 1": lambda g: g["cells"][0]["edges"].pop() and g,
}


@pytest.mark.parametrize("expected", FAULTS)
def test_faults_name_their_path(expected):
    broken = json.dumps(FAULTS[expected](good()))
    with pytest.raises(InputError) as caught:
        Genotype.from_json(broken, "found.json")
    assert str(caught.value).startswith(f"found.json: {expected}")
    assert "\n" not in str(caught.value)


TEXTS = {
    '{"space": "a", "space": "b"}': 'found.json: expected every key of an object once, got "space" twice',
    '{"space": NaN}': "found.json: expected finite numbers, got NaN",
    '{"space": ': "found.json: expected JSON, got a syntax error at line 1, column 11",
    "[" * 100_000: "found.json: expected JSON nested a few levels deep",
    '{"space": ' + "9" * 5000 + "}": "found.json: Exceeds the limit",
}


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts_that_are_not_strict_json(text):
    with pytest.raises(InputError) as caught:
        Genotype.from_json(text, "found.json")
    assert str(caught.value).startswith(TEXTS[text])


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary.json: expected JSON text in UTF-8"):
        Genotype.load(tmp_path / "binary.json")
    with pytest.raises(InputError, match=r"genotype: expected a JSON file, cannot read .*absent.json"):
        Genotype.load(tmp_path / "absent.json")


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


HOSTILE = [10**40, -1, True, 2.0, "none", "sep_conv_3x3", "darts", [[]], {"edges": []}]


@given(genotype=genotypes(), value=junk | st.sampled_from(HOSTILE), data=st.data())
@settings(max_examples=300, deadline=None)
def test_fuzz_any_value_anywhere(genotype, value, data):
    """Junk in place of any part, a part twice or missing: refused with an InputError of one line, or a valid genotype
    after all."""
    plain = json.loads(genotype.to_json())
    target, key = plain, data.draw(st.sampled_from(["space", "cells"]))
    while isinstance(target[key], dict | list) and target[key] and data.draw(st.booleans()):
        target = target[key]
        key = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
    change = data.draw(st.sampled_from(["replace", "remove", "repeat"]))
    if change == "replace":
        target[key] = value
    elif change == "remove":
        del target[key]
    elif isinstance(target, list):
        target.insert(key, copy.deepcopy(target[key]))
    told, again = None, None
    try:
        again = Genotype.from_json(json.dumps(plain))
    except InputError as error:
        told = str(error)
    if again is None:
        assert told.startswith("genotype: $")
        assert "\n" not in told
    else:
        written = json.loads(again.to_json())
        written.pop("string", None)
        plain.pop("string", None)
        assert written == plain

"""The published text form: read without evaluating anything, every fault told in one sentence."""

from __future__ import annotations

import contextlib

import pytest
from amended_darts.errors import InputError, one_line
from amended_darts.genotype import Edge
from amended_darts.published import PUBLISHED, find_genotype, parse_published
from amended_darts.spaces import SPACES
from hypothesis import given
from hypothesis import strategies as st

GOOD = PUBLISHED["DARTS_V2"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_table(name):
    """Each is in the space darts and passes the checks of a genotype file."""
    genotype = find_genotype(name)
    assert genotype.space == "darts"
    assert type(genotype).from_json(genotype.to_json()) == genotype
    assert [cell.reduction for cell in genotype.cells] == [False, True]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("darts", "DARTS_V2"), ("PCDARTS", "PC_DARTS_CIFAR"), ("pdarts", "P_DARTS"), ("PC-DARTS_image", "PC_DARTS_IMAGE")],
)
def test_names_as_others_spell_them(name, meant):
    assert find_genotype(name) == find_genotype(meant)


def test_edges_of_darts_v2():
    normal, reduction = find_genotype("darts_v2").cells
    assert normal.edges[-2:] == (Edge(5, 0, "skip_connect"), Edge(5, 2, "dil_conv_3x3"))
    assert reduction.edges[2:4] == (Edge(3, 1, "max_pool_3x3"), Edge(3, 2, "skip_connect"))


def test_sources(tmp_path):
    genotype = find_genotype(GOOD)
    (tmp_path / "printed.txt").write_text(f"\nDARTS = {GOOD.replace('range(2, 6)', '[2, 3, 4, 5]')}\n")
    assert find_genotype(str(tmp_path / "printed.txt")) == genotype
    genotype.save(tmp_path / "genotype.json")
    assert find_genotype(str(tmp_path)) == genotype
    assert find_genotype(str(tmp_path / "genotype.json")) == genotype
    with pytest.raises(InputError, match=r"genotype: expected a genotype\.json, a text file or one of DARTS_V1"):
        find_genotype("absent")


def test_other_sizes_are_no_space_of_this_package():
    genotype = parse_published(
        "Genotype(normal=[('nor_conv_3x3', 0), ('none', 1)], normal_concat=range(2, 3), "
        "reduce=[('skip_connect', 0), ('skip_connect', 1)], reduce_concat=[2])"
    )
    assert genotype.space == "published"
    assert genotype.space not in SPACES


@pytest.mark.parametrize(
    ("told", "old", "new"),
    [
        (r"expected Genotype\(normal=", "Genotype(", "dict("),
        (r"expected Genotype\(normal=", "normal_concat=range(2, 6), ", ""),
        (r"expected Genotype\(normal=", "Genotype(", "Genotype(1, "),
        (r"expected Genotype\(normal=", "reduce=[", "reduce=[[["),
        (r"normal\[0\]: expected one of none, .* got 'conv'", "('sep_conv_3x3', 0)", "('conv', 0)"),
        (r"normal\[0\]: expected one of none, .* got open\('x'\)", "('sep_conv_3x3', 0)", "(open('x'), 0)"),
        (r"normal\[0\]: expected an input from 0 to 1, got 2", "('sep_conv_3x3', 0)", "('sep_conv_3x3', 2)"),
        (r"normal\[0\]: expected an input from 0 to 1, got -1", "('sep_conv_3x3', 0)", "('sep_conv_3x3', -1)"),
        (r"normal\[0\]: expected an input from 0 to 1, got True", "('sep_conv_3x3', 0)", "('sep_conv_3x3', True)"),
        (r"normal\[0\]: expected an \(operator, input\) pair, got", "('sep_conv_3x3', 0)", "('sep_conv_3x3',)"),
        (r"normal: expected two different inputs of each node, got 1 twice", "('sep_conv_3x3', 0)",
         "('sep_conv_3x3', 1)"),
        (r"normal: expected 2 \(operator, input\) pairs for every node, got 7", "('sep_conv_3x3', 0), ", ""),
        (r"normal_concat: expected all nodes, \[2, 3, 4, 5\], got \[2, 3, 4\]", "range(2, 6)", "range(2, 5)"),
        (r"normal_concat: expected range\(...\) or a list of nodes, got", "range(2, 6)", "range(2, 10**10)"),
        (r"normal_concat: expected range\(...\) or a list of nodes, got", "range(2, 6)", "range(2, 99999999999)"),
        (r"normal_concat: expected range\(...\) or a list of nodes, got", "range(2, 6)", "list((2, 3, 4, 5))"),
    ],
)  # fmt: skip
def test_faults_are_named(told, old, new):
    assert old in GOOD
    with pytest.raises(InputError, match=told) as raised:
        parse_published(GOOD.replace(old, new, 1))
    assert len(one_line(raised.value)) < 300


@given(st.text(max_size=200), st.integers(0, len(GOOD)), st.integers(0, 40))
def test_anything_else_is_an_input_error(text, start, length):
    """Text pasted anywhere into a good genotype: it is read or refused, and nothing else happens."""
    for attempt in (text, GOOD[:start] + text + GOOD[start + length :]):
        with contextlib.suppress(InputError):
            parse_published(attempt)


@pytest.mark.parametrize(
    "text", ["(" * 10_000, "[" * 300, "Genotype(normal=" + "9" * 9_000, "\x00", "-" * 15_000 + "1"]
)
def test_hostile_text(text):
    with pytest.raises(InputError):
        parse_published(text)

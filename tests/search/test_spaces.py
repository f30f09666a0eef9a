"""Spaces are data: sizes, edges and groups have known values, and wrong ones are refused in one sentence."""

from __future__ import annotations

import itertools

import pytest
from amended_darts.errors import InputError
from amended_darts.spaces import OPERATORS, SPACES, Space, find_space, uniform
from hypothesis import given
from hypothesis import strategies as st

from amended_darts_ext import CANDIDATES, DARTS


def test_sizes_are_exact():
    assert find_space("darts").size() == (180 * 7**8) ** 2
    assert find_space("darts8").size() == (180 * 7**8) ** 2  # none is never kept
    assert find_space("s2").size() == (180 * 2**8) ** 20
    assert f"{find_space('darts').size():.1e}" == "1.1e+18"
    assert f"{find_space('s2').size():.1e}" == "1.9e+93"
    assert find_space("s2").size(cells=3) == (180 * 2**8) ** 3
    assert find_space("darts-large").size() == (180 * 8**8) ** 20
    assert find_space("robust-s1").size() == (180 * 2**8) ** 2
    assert find_space("robust-s2").size() == find_space("robust-s3").size() == (180 * 2**8) ** 2
    assert find_space("nasbench201").size() == 5**6  # none may be kept there, and all edges are


@given(st.lists(st.integers(1, 3), min_size=5, max_size=5))
def test_size_counts_what_enumeration_counts(counts):
    """Any number of operators per edge: against listing every architecture of a cell of two nodes."""
    candidates = tuple(OPERATORS[1 : 1 + count] for count in counts)
    space = Space("mine", 2, normal=candidates, reduction=candidates, shared=False, cells=1)
    choices = dict(zip(space.edges, candidates, strict=True))
    listed = 1
    for node in (2, 3):
        listed *= sum(
            len(choices[node, one]) * len(choices[node, two]) for one, two in itertools.combinations(range(node), 2)
        )
    assert space.size() == listed


def test_operators_are_those_of_the_library():
    assert (*CANDIDATES, "noise") == OPERATORS
    assert find_space("darts8").normal[0] == tuple(DARTS)
    assert find_space("darts").normal[0] == tuple(DARTS)[1:]


def test_edges_and_groups():
    darts, s2 = find_space("darts"), find_space("s2")
    assert len(darts.edges) == 14
    assert darts.edges[:5] == ((2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
    assert darts.reduction_cells(8) == (2, 5)
    assert [darts.group_of(cell, 8) for cell in range(8)] == [0, 0, 1, 0, 0, 1, 0, 0]
    assert [group.reduction for group in s2.groups(20)] == [index in (6, 13) for index in range(20)]
    assert len(SPACES) == len({space.name for space in SPACES.values()})


def test_robust_s1():
    """The two preset operators of some edges, as published (RobustDARTS, arXiv 1909.09656, figure 9)."""
    space = find_space("robust-s1")
    assert {len(names) for names in space.normal + space.reduction} == {2}
    by_edge = dict(zip(space.edges, zip(space.normal, space.reduction, strict=True), strict=True))
    assert by_edge[2, 0] == (("skip_connect", "dil_conv_3x3"), ("max_pool_3x3", "avg_pool_3x3"))
    assert by_edge[3, 2] == (("skip_connect", "dil_conv_3x3"), ("skip_connect", "dil_conv_5x5"))
    assert by_edge[5, 4] == (("dil_conv_3x3", "dil_conv_5x5"), ("skip_connect", "dil_conv_5x5"))


def test_nasbench201():
    space = find_space("nasbench201")
    assert space.edges == ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
    assert space.reduction_cells(15) == (5, 10)
    assert [group.name for group in space.groups(15)] == ["cell"]
    assert {space.group_of(cell, 15) for cell in range(15)} == {0}


def test_edges_of_ones_own():
    """Fewer edges than all, candidates edge by edge; a node may keep fewer than two."""
    names = (("skip_connect",), ("sep_conv_3x3", "none"), ("skip_connect", "sep_conv_3x3"))
    space = Space("mine", 2, normal=names, reduction=names, edges=((2, 1), (3, 0), (3, 2)))
    assert space.kept_edges() == {2: 1, 3: 2}
    assert space.size() == (1 * 1 * 2) ** 2


@pytest.mark.parametrize(
    ("edges", "told"),
    [
        (((2, 0), (2, 0)), "each once, ordered"),
        (((2, 2),), "node, earlier state"),
        (((4, 0), (2, 0)), "node, earlier state"),
        (((2, 1), (2, 0)), "ordered by node"),
        (((3, 0),), "one at least into each node from 2 to 3"),
    ],
)
def test_wrong_edges_are_refused(edges, told):
    names = (("skip_connect",),) * len(edges)
    with pytest.raises(InputError, match=f"space mine: edges expect .*{told}"):
        Space("mine", 2, normal=names, reduction=names, edges=edges)


def test_unknown_name_lists_the_known():
    with pytest.raises(InputError, match=r"^--space: expected one of darts, darts8, s2.*, got 'dart'$"):
        find_space("dart")


@pytest.mark.parametrize("names", [(), ("none",), ("sep_conv_9x9",), ("skip_connect", "skip_connect")])
def test_wrong_candidates_are_refused(names):
    with pytest.raises(InputError, match="space mine: the reduction edge"):
        Space("mine", 1, normal=uniform(1, ["skip_connect"]), reduction=uniform(1, names))

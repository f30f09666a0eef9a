"""Cell pictures: every box and label has room of its own, few edges cross, equal cells give equal files."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import pytest
import torch
from amended_darts import cli
from amended_darts.drawing import draw_alphas, draw_cells
from amended_darts.drawing.layout import arrange
from amended_darts.errors import InputError
from amended_darts.genotype import Cell, Edge, Genotype, derive
from amended_darts.nasbench201 import from_string
from amended_darts.spaces import find_space
from hypothesis import given, settings

from .test_genotype import genotypes


def cell(*edges, op="sep_conv_3x3"):
    return Cell(tuple(Edge(node, source, op) for node, source in edges), False)


@given(genotypes())
@settings(max_examples=25, deadline=None)
def test_nothing_overlaps(genotype):
    for found in genotype.cells[:3]:
        layout = arrange(found)
        for one, other in itertools.combinations(layout.points, 2):
            if one.column == other.column:
                assert abs(one.y - other.y) >= (one.height + other.height) / 2 + 0.2
        labels = sorted(point.text for point in layout.points if point.kind == "label")
        assert labels == sorted(edge.op for edge in found.edges)
        for route in layout.routes:  # an edge passes every column between its ends, once
            columns = [layout.points[index].column for index in route.points]
            assert columns == list(range(columns[0], columns[-1] + 1))


@pytest.mark.parametrize(
    ("edges", "least"),
    [
        ([(2, 0), (2, 1), (3, 0), (3, 2), (4, 0), (4, 3), (5, 0), (5, 4)], 0),  # a chain
        ([(2, 0), (2, 1), (3, 1), (3, 2), (4, 0), (4, 2), (5, 3), (5, 2)], 0),
        (
            [(2, 0), (2, 1), (3, 2), (3, 1), (4, 2), (4, 0), (5, 2), (5, 0)],
            1,
        ),  # 4 and 5, side by side, share both inputs
    ],
)
def test_kept_edges_cross_no_more_than_they_must(edges, least):
    layout = arrange(cell(*edges))
    layout.routes = [route for route in layout.routes if route.op is not None]
    assert layout.crossings() == least


def test_two_inputs_into_three_nodes_cross_as_often_as_they_must():
    layout = arrange(cell((2, 0), (2, 1), (3, 0), (3, 1), (4, 0), (4, 1)))
    assert layout.crossings() == 3


def test_svg_holds_every_label_as_text(tmp_path):
    genotype = derive(find_space("darts"), 8, [[[1 / 7] * 7] * 14] * 2)
    draw_cells(genotype, tmp_path / "cells.svg")
    root = ElementTree.parse(tmp_path / "cells.svg").getroot()
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("max_pool_3x3") == 16
    assert {"normal cell (darts)", "reduction cell (darts)", "c[k-2]", "c[k-1]", "c[k]", "0", "1", "2", "3"} <= set(
        texts
    )
    draw_cells(genotype, tmp_path / "again.svg")
    assert (tmp_path / "cells.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()


def test_twenty_cells(tmp_path):
    genotype = derive(find_space("s2"), 20, [[[0.4, 0.6]] * 14] * 20)
    draw_cells(genotype, tmp_path / "cells.png")
    assert (tmp_path / "cells.png").read_bytes().startswith(b"\x89PNG")
    draw_cells(genotype, tmp_path / "cells.svg")
    root = ElementTree.parse(tmp_path / "cells.svg").getroot()
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("sep_conv_3x3") == 160
    assert texts.count("c[k-2]") == 20
    assert "c[k]" not in texts  # said once, below
    assert texts.count("s2: the output of a cell concatenates its nodes 0, 1, ...") == 1
    assert float(root.get("width").removesuffix("pt")) <= 17 * 72


def test_states_of_nasbench201_have_the_numbers_of_its_notation():
    layout = arrange(from_string("|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|").cells[0])
    assert [point.text for point in layout.points if point.kind == "state"] == ["0", "1", "2", "3", "c[k]"]
    assert sum(route.op is None for route in layout.routes) == 1


def test_unknown_format(tmp_path):
    with pytest.raises(InputError, match=r"--out: expected a name that ends in .svg, .*, .dot, got .*cells.gif"):
        draw_cells(Genotype("mine", (cell((2, 0)),)), tmp_path / "cells.gif")


@pytest.mark.parametrize("name", ["darts", "s2"])
def test_alphas(tmp_path, name):
    space = find_space(name)
    groups = space.groups(space.cells)
    weights = [torch.rand(14, len(space.normal[0])).softmax(1) for _ in groups]
    draw_alphas(space, groups, weights, tmp_path / "alphas.png")
    assert (tmp_path / "alphas.png").read_bytes().startswith(b"\x89PNG")


@given(genotypes())
@settings(max_examples=25, deadline=None)
def test_dot_has_every_state_and_edge(tmp_path_factory, genotype):
    path = tmp_path_factory.mktemp("dot") / "cells.dot"
    draw_cells(genotype, path)
    lines = [line.strip() for line in path.read_text().splitlines()]
    for index, found in enumerate(genotype.cells):
        states = [line for line in lines if re.match(rf"c{index}_\w+ \[", line)]
        assert len(states) == found.inputs + found.nodes + 1
        arrows = re.findall(rf'^c{index}_(\d+) -> c{index}_(\d+) \[label="(\w+)"', "\n".join(lines), re.MULTILINE)
        assert sorted((int(node), int(source), op) for source, node, op in arrows) == sorted(
            (edge.node, edge.input, edge.op) for edge in found.edges
        )
    assert path.read_text().count("{") == path.read_text().count("}")


def test_dot_quotes_names(tmp_path):
    draw_cells(Genotype('a "b" \\', (cell((2, 0)),)), tmp_path / "cells.dot")
    assert (tmp_path / "cells.dot").read_text().startswith('digraph "a \\"b\\" \\\\" {\n')


def test_command_draws_genotypes_of_the_literature(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["draw", "pc_darts_image"]) == 0
    assert capsys.readouterr().out == "cells.svg\n"
    assert "sep_conv_5x5" in (tmp_path / "cells.svg").read_text()
    assert cli.main(["draw", "DARTS_V2", "--out", "cells.dot"]) == 0

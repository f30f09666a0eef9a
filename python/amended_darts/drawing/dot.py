"""Cells as a Graphviz file, for those who lay out or edit the picture themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from amended_darts.drawing.layout import state_name
from amended_darts.files import write_text
from amended_darts.genotype import Cell, Genotype


def write_dot(
    genotype: Genotype, path: Path, title: Callable[[Genotype, int], str], colour: Callable[[str], str]
) -> None:
    """Writes a digraph with a cluster for each cell: states as boxes, kept edges labelled with their operators.

    Args:
        title, colour: of a cell by its index, of an operator by its name.

    Raises:
        RunError: the file could not be written.
    """
    lines = [
        f"digraph {_quoted(genotype.space)} {{",
        "  rankdir=LR;",
        '  node [shape=box, style="rounded,filled", fillcolor="#e3ecf7", fontname="sans-serif"];',
        '  edge [fontname="sans-serif", fontsize=10];',
    ]
    for index, cell in enumerate(genotype.cells):
        lines += [f"  subgraph cluster_{index} {{", f"    label={_quoted(title(genotype, index))};"]
        lines += [f"    {line};" for line in _cell(cell, f"c{index}_", colour)]
        lines.append("  }")
    write_text(path, "\n".join([*lines, "}"]) + "\n")


def _cell(cell: Cell, prefix: str, colour: Callable[[str], str]) -> list[str]:
    lines = []
    for state in range(cell.inputs + cell.nodes):
        fill = ', fillcolor="#e8f0e4"' if state < cell.inputs else ""
        lines.append(f"{prefix}{state} [label={_quoted(state_name(state, cell.inputs))}{fill}]")
    lines.append(f'{prefix}out [label="c[k]"]')
    for edge in cell.edges:
        label, ink = _quoted(edge.op), _quoted(colour(edge.op))
        lines.append(f"{prefix}{edge.input} -> {prefix}{edge.node} [label={label}, color={ink}, fontcolor={ink}]")
    lines += [f'{prefix}{state} -> {prefix}out [color="#c4c4c4"]' for state in cell.outputs]
    return lines


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'

"""``amended-darts draw``: the cells of a genotype file as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amended_darts.genotype import Genotype

HELP = "draw the cells of a genotype"


def add_arguments(parser: Any) -> None:
    """The genotype file and where the picture goes."""
    parser.add_argument("genotype", type=str, help="a genotype.json")
    parser.add_argument(
        "--out",
        type=str | None,
        default=None,
        help="picture to write, .svg, .png or .pdf; cells.svg beside the genotype by default",
    )


def run(options: Any) -> int:
    """Draws and prints where the picture is."""
    source = Path(options.genotype)
    genotype = Genotype.load(source)
    out = source.with_name("cells.svg") if options.out is None else Path(options.out)
    from amended_darts.drawing import draw_cells

    draw_cells(genotype, out)
    print(out)
    return 0

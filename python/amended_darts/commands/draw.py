"""``amended-darts draw``: the cells of any genotype as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amended_darts.published import find_genotype

HELP = "draw the cells of a genotype"


def add_arguments(parser: Any) -> None:
    """The genotype and where the picture goes."""
    parser.add_argument(
        "genotype",
        type=str,
        help="a genotype.json or a folder with one, a text file with the published form, or a name of the literature "
        "(DARTS_V2, PC_DARTS_CIFAR, ...)",
    )
    parser.add_argument(
        "--out",
        type=str | None,
        default=None,
        metavar="FILE",
        help="picture to write, .svg, .png, .pdf or .dot (default: cells.svg beside the genotype's file, or here)",
    )


def run(options: Any) -> int:
    """Draws and prints where the picture is."""
    genotype = find_genotype(options.genotype)
    source = Path(options.genotype)
    folder = source if source.is_dir() else source.parent if source.is_file() else Path()
    out = folder / "cells.svg" if options.out is None else Path(options.out)
    from amended_darts.drawing import draw_cells

    draw_cells(genotype, out)
    print(out)
    return 0

"""``amended-darts report``: one or several runs on one page of HTML that stands alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HELP = "show or compare runs on one self-contained HTML page"


def add_arguments(parser: Any) -> None:
    """The runs' folders and where the page goes."""
    parser.add_argument("runs", type=str, nargs="+", metavar="RUN", help="folder of a search (its --out)")
    parser.add_argument(
        "--out",
        type=str | None,
        default=None,
        metavar="FILE",
        help="page to write (default: report.html in the folder of one run, in the current folder for several)",
    )


def run(options: Any) -> int:
    """Writes the page and prints where it is."""
    from amended_darts.files import prepare_folder, write_text
    from amended_darts.report import read_runs, render

    folders = [Path(name) for name in options.runs]
    page = render(read_runs(folders))
    beside = folders[0] if len(folders) == 1 else Path()
    out = beside / "report.html" if options.out is None else Path(options.out)
    prepare_folder(out.parent, "--out")
    write_text(out, page)
    print(out)
    return 0

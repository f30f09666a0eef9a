"""Tables of a Markdown page made from the JSON that studies leave behind, so that no figure is copied by hand.

A page holds places for tables::

    <!-- table: memory/saved -->
    (replaced as a whole)
    <!-- end -->

``memory/saved`` is the table ``saved`` of ``results/memory.json`` beside the page (in ``docs`` for README.md), written
by the module that ``WRITERS`` names for ``memory``: its ``markdown(results, name)``. One command fills them all in,
another checks them::

    python -m amended_darts.results_page README.md docs/results.md
    python -m amended_darts.results_page --check README.md docs/results.md
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from amended_darts.errors import InputError
from amended_darts.files import read_json, write_text

WRITERS: dict[str, str] = {
    "memory": "amended_darts.benchmark.table",
    "mixed-op": "tests.benchmarks.tables",
    "search-loop": "tests.benchmarks.tables",
    "search-step": "tests.benchmarks.tables",
    "study-digits": "amended_darts.study.table",
    "study-nasbench201": "amended_darts.study.table",
    "study-robust-s2": "amended_darts.study.table",
}
"""File of results → the module that makes tables of it, seen from the root of a checkout. To add one, add its line."""

_BEGIN = re.compile(r"<!-- table: (\S+) -->")
_END = "<!-- end -->"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def fill(text: str, table: Callable[[str], str]) -> str:
    """The page with every place for a table filled in.

    Args:
        text: of the page.
        table: makes the Markdown of a table from its name.

    Raises:
        InputError: a place that does not end; names it.
    """
    parts: list[str] = []
    rest = 0
    while found := _BEGIN.search(text, rest):
        end = text.find(_END, found.end())
        following = _BEGIN.search(text, found.end())
        if end < 0 or (following is not None and following.start() < end):
            raise InputError(f"{found[0]}: expected {_END} after it, got none")
        parts += [text[rest : found.end()], f"\n\n{table(found[1]).strip()}\n\n"]
        rest = end
    return "".join([*parts, text[rest:]])


def tables_beside(page: Path) -> Callable[[str], str]:
    """``table`` for ``fill``: from the files of results beside a page, or in the folder docs beside it.

    The function that is returned raises InputError: a name that no file or module stands for.
    """
    beside, docs = page.parent / "results", page.parent / "docs" / "results"
    folder = docs if docs.is_dir() else beside

    def table(name: str) -> str:
        source, _, which = name.partition("/")
        if source not in WRITERS:
            raise InputError(f"{page}: expected tables of {', '.join(WRITERS) or 'nothing'}, got '{name}'")
        results = read_json(folder / f"{source}.json", "results")
        markdown: Callable[..., str] = importlib.import_module(WRITERS[source]).markdown
        return markdown(results, which)

    return table


def filled(page: Path) -> str:
    """What the page should read, by the results beside it.

    Raises:
        InputError: the page or a file of results cannot be read, or a place for a table is malformed.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"page: expected a Markdown file, cannot read {page} ({error})") from None
    return fill(text, tables_beside(page))


def main(arguments: list[str] | None = None) -> int:
    """Fills in pages, or with ``--check`` says whether they are up to date; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m amended_darts.results_page", description="Tables from results.")
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 where a page differs")
    options = parser.parse_args(arguments)
    code = 0
    try:
        for page in options.pages:
            text = filled(page)
            if page.read_text(encoding="utf-8") == text:
                continue
            if options.check:
                print(f"{page}: its tables differ from its results; fill them in without --check", file=sys.stderr)
                code = 1
            else:
                write_text(page, text)
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return code


if __name__ == "__main__":
    sys.exit(main())

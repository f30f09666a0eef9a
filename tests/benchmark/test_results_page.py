"""Tables of README.md and docs/results.md are those of the committed results; places are filled in and checked."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest
from amended_darts import results_page
from amended_darts.errors import InputError

ROOT = Path(__file__).parents[2]
TEXT = "before\n<!-- table: study/one -->\nold\n<!-- end -->\nbetween\n<!-- table: study/two -->\n<!-- end -->\nafter\n"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page with two tables of a study whose module makes one line of each."""
    module = types.ModuleType("tables_of_a_study")
    module.markdown = lambda results, name: f"| {name} | {results[name]} |"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(results_page.WRITERS, "study", module.__name__)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "study.json").write_text(json.dumps({"one": 1, "two": 2}))
    path = tmp_path / "page.md"
    path.write_text(TEXT)
    return path


def test_every_table_is_replaced_and_the_rest_stays(page: Path) -> None:
    assert results_page.main([str(page)]) == 0
    text = page.read_text()
    assert text.replace("\n\n| one | 1 |\n\n", "").replace("\n\n| two | 2 |\n\n", "") == (
        "before\n<!-- table: study/one --><!-- end -->\nbetween\n<!-- table: study/two --><!-- end -->\nafter\n"
    )
    assert results_page.main([str(page)]) == 0
    assert page.read_text() == text


def test_check_sees_a_changed_figure_and_changes_nothing(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert results_page.main(["--check", str(page)]) == 1
    assert "differ" in capsys.readouterr().err
    assert page.read_text() == TEXT
    results_page.main([str(page)])
    assert results_page.main(["--check", str(page)]) == 0
    page.write_text(page.read_text().replace("| one | 1 |", "| one | 3 |"))
    assert results_page.main(["--check", str(page)]) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- table: study/one -->\n", "expected <!-- end --> after it"),
        ("<!-- table: study/one -->\n<!-- table: study/two -->\n<!-- end -->\n", "study/one"),
        ("<!-- table: other/one -->\n<!-- end -->\n", "got 'other/one'"),
    ],
)
def test_places_that_cannot_be_filled_are_named(page: Path, text: str, message: str) -> None:
    page.write_text(text)
    with pytest.raises(InputError, match=message):
        results_page.filled(page)
    assert page.read_text() == text


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_pages_have_the_tables_of_the_committed_results(page: str) -> None:
    assert (ROOT / page).read_text() == results_page.filled(ROOT / page)

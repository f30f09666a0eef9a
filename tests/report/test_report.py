"""The report page: what it shows of real runs, of unfinished, broken and hostile ones, and how a browser renders it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
import torch
from amended_darts import InputError, SearchConfig, cli, search, search_loop
from amended_darts.report import read_runs, render
from amended_darts.report.charts import Line, line_chart
from amended_darts.words import duration

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_loop, "_draw", lambda *arguments: None)
        settings = {"space": "robust-s2", "cells": 3, "channels": 2, "epochs": 2, "alpha_lr": 0.05}
        search(SearchConfig(**settings, out=str(folder / "one"), eigenvalue=True))
        search(SearchConfig(**settings, out=str(folder / "two"), estimator="first_order", seed=1))
    return [folder / "one", folder / "two"]


class Reader(HTMLParser):
    """Checks that tags close as they open, and collects text and what attributes refer to."""

    EMPTY = ("meta", "link", "img", "line", "polyline")

    def __init__(self, page):
        super().__init__()
        self.open, self.text, self.refers, self.tags = [], [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.refers += [value for name, value in attributes if name in ("src", "href", "xlink:href", "srcset")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_two_runs_compared(runs):
    page = render(read_runs(runs))
    read = Reader(page)
    text = " ".join(read.text)
    for told in ("2 runs compared", "Summary", "edges that would keep skip_connect", "Final cells", "α, edge by edge",
                 "Where the runs differ:", "--estimator", "first_order", "normal cell", "reduction cell",
                 "dominant eigenvalue", "c[k-2] → 0"):  # fmt: skip
        assert told in text, told
    assert len(re.findall('class="edge"', page)) == 2 * 2 * 14  # both runs, both cells, every edge
    different = page[page.index("Where the runs differ:") : page.index("the same in all runs")]
    shown = set(re.findall(r'row">(--[\w-]+)', different))
    assert {"--estimator", "--rho", "--radius", "--seed", "--eigenvalue"} <= shown
    assert not shown & {"--channels", "--epochs", "--out"}
    assert "script" not in read.tags
    assert all(target.startswith("data:") for target in read.refers)
    assert "http" not in re.sub(r"http-equiv", "", re.sub(r"base64,[\w+/=]+", "", page))


def test_one_run_by_the_command(runs, capsys):
    assert cli.main(["report", str(runs[0])]) == 0
    out = runs[0] / "report.html"
    assert capsys.readouterr().out == f"{out}\n"
    text = " ".join(Reader(out.read_text()).text)
    assert "one: report" in text
    assert "all settings" in text
    assert "Where the runs differ" not in text


def test_a_run_that_has_only_begun(tmp_path, runs):
    (tmp_path / "new").mkdir()
    shutil.copy(runs[0] / "config.json", tmp_path / "new")
    text = " ".join(Reader(render(read_runs([tmp_path / "new"]))).text)
    assert "0 of 2" in text
    assert "Curves" not in text
    assert "Final cells" not in text


def test_what_is_broken_is_named(tmp_path, runs, capsys):
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "run: expected the folder of a search, with config.json in it, got " in capsys.readouterr().err
    broken = tmp_path / "broken"
    shutil.copytree(runs[0], broken)
    (broken / "checkpoint.pt").write_bytes(b"no checkpoint")
    (broken / "genotype.json").write_text("{}")
    text = " ".join(Reader(render(read_runs([broken]))).text)
    assert "α is not shown: " in text
    assert "cells are not shown: " in text
    (broken / "metrics.jsonl").write_text('{"epoch": 1}\n{"epoch": 2')
    with pytest.raises(InputError, match=r"metrics\.jsonl line 2: expected JSON"):
        read_runs([broken])


def test_names_and_settings_are_text_and_nothing_else(tmp_path, runs):
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    shutil.copytree(runs[1], folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "data": "<script>alert(2)</script>"}))
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    line["operators"] = {"</figcaption><script>": 2, "skip_connect": 1}
    line["heldout_accuracy"] = "<b>"
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    read = Reader(render(read_runs([folder, runs[0]])))
    assert "script" not in read.tags
    assert "b" not in read.tags
    assert "x" not in read.refers


def test_runs_of_one_name_are_told_apart(tmp_path, runs):
    other = tmp_path / "one"
    shutil.copytree(runs[0], other)
    assert [run.name for run in read_runs([runs[0], other])] == [str(runs[0]), str(other)]


def test_a_chart_shows_every_value_once(runs):
    line = Line("a", 0, [(1, 0.5), (2, 0.25), (4, 1.0)])
    chart = line_chart("losses", [line, Line("b", 9, [])])
    assert chart.count("<circle") == 3
    assert "a, epoch 4: 1</title>" in chart
    assert line_chart("nothing", [Line("a", 0, [])]) == ""
    assert "nan" not in line_chart("flat", [Line("a", 0, [(1, 0.0)])])


def test_durations():
    told = [duration(seconds) for seconds in (8.24, 59.96, 200, 7500, 93600)]
    assert told == ["8.2 s", "1 min 00 s", "3 min 20 s", "2 h 05 min", "1 d 02 h"]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to render the page with")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_renders_it(tmp_path, runs, width):
    """No message on the console, every picture decoded, and nothing wider than the window. The page has no script, so
    one that measures is put into a copy, with the policy that forbids it taken out."""
    page = render(read_runs(runs))
    measure = """<script>addEventListener("load", () => {
      const pictures = [...document.images].filter(i => i.naturalWidth == 0).length;
      const wide = document.documentElement.scrollWidth;
      document.title = `MEASURED ${innerWidth} ${wide} ${pictures} ${document.images.length}`; });</script>"""
    frame = re.sub(r"<meta http-equiv[^>]*>", "", page).replace("</head>", measure + "</head>")
    (tmp_path / "frame.html").write_text(frame)
    # A window may have a least width of its own: a frame has none.
    (tmp_path / "measured.html").write_text(
        f'<iframe src="frame.html" style="width:{width}px;height:900px;border:0"></iframe><script>'
        'addEventListener("load", () => { document.title = frames[0].document.title; });</script>'
    )
    (tmp_path / "page.html").write_text(page)
    common = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
              "--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}"]  # fmt: skip
    plain = [*common, f"--window-size={width},3000", f"--screenshot={tmp_path / 'page.png'}"]
    done = subprocess.run([*plain, f"file://{tmp_path}/page.html"], capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in done.stderr
    assert (tmp_path / "page.png").stat().st_size > 20_000
    dumped = subprocess.run(
        [*common, "--dump-dom", "--virtual-time-budget=5000", f"file://{tmp_path}/measured.html"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "CONSOLE" not in dumped.stderr
    inner, wide, undecoded, pictures = map(int, re.search(r"MEASURED (\d+) (\d+) (\d+) (\d+)", dumped.stdout).groups())
    assert inner == width
    assert wide <= width
    assert undecoded == 0
    assert pictures == 2 + 1 + 2 * 2 * 14

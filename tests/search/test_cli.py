"""The command line as a user meets it: exit codes, one line on standard error, help, config files, missing packages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest
from amended_darts import cli
from amended_darts.commands import COMMANDS
from amended_darts.commands.search import read
from amended_darts.config import SearchConfig
from amended_darts.genotype import derive
from amended_darts.options import flag
from amended_darts.presets import PRESETS
from amended_darts.spaces import find_space

from .processes import ENVIRONMENT

TINY = ["--space", "s2", "--cells", "1", "--channels", "2", "--epochs", "1"]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def fails(capsys, code, told, *arguments):
    assert cli.main(arguments) == code
    captured = capsys.readouterr()
    assert captured.err.startswith(f"amended-darts: {told}"), captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.mark.parametrize(
    ("told", "arguments"),
    [
        ('expected "command" to be one of', []),
        ("argument command: invalid choice: 'serch'", ["serch"]),
        ("unrecognized arguments: --epoch 3", ["search", "--epoch", "3"]),
        ("--epochs: expected int, got three", ["search", "--epochs", "three"]),
        ("--epochs: expected at least 1 epoch, got -1", ["search", "--epochs", "-1"]),
        ("--rho: expected float, got much", ["search", "--rho", "much"]),
        ("--space: expected one of darts, darts8, s2", ["search", "--space", "darts9"]),
        ("--preset: expected one of paper-s1, paper-s2, darts-1st", ["search", "--preset", "paper"]),
        ("--terms: expected --estimator neumann, got amended, which takes --eta,", ["search", "--terms", "2"]),
        ("--data: expected one of digits, cifar10", ["search", "--data", "mnist"]),
        ("--root: expected the folder of the data set cifar10, got nothing", ["search", "--data", "cifar10"]),
        ("--root: expected an existing folder, got /absent", ["search", "--data", "imagefolder", "--root", "/absent"]),
        ("--config: File does not exist: '/absent.yaml'", ["search", "--config", "/absent.yaml"]),
        ("genotype: expected a JSON file, cannot read /absent.json", ["draw", "/absent.json"]),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(capsys, told, arguments):
    fails(capsys, 2, told, *arguments)


def test_config_files(tmp_path, capsys):
    good, unknown, broken = (tmp_path / name for name in ("good.yaml", "unknown.yaml", "broken.yaml"))
    good.write_text("space: s2\ncells: 0\n")
    unknown.write_text("space: s2\nlearning_rate: 1\n")
    broken.write_text("space: [\n")
    fails(capsys, 2, "--cells: expected at least 1 cell, got 0", "search", "--config", str(good))
    fails(capsys, 2, "search has no option 'learning_rate'", "search", "--config", str(unknown))
    fails(capsys, 2, "problems parsing config: ", "search", "--config", str(broken))


def configured(*arguments):
    parser, _ = cli.build_parser()
    return read(parser.parse_args(["search", *arguments], defaults=False).search)


def test_a_preset_gives_defaults_and_what_is_said_overrides_it(tmp_path):
    """Whether on the command line or in a file, in whatever order."""
    assert configured() == SearchConfig()
    assert configured("--preset", "quick") == SearchConfig.from_preset("quick")
    file = tmp_path / "mine.yaml"
    file.write_text("epochs: 7\npreset: quick\n")
    expected = SearchConfig.from_preset("quick", epochs=7, channels=2)
    assert configured("--config", str(file), "--channels", "2") == expected
    assert configured("--channels", "2", "--config", str(file)) == expected
    assert configured("--epochs", "7", "--preset", "quick", "--channels", "2") == expected


def test_config_json_says_all_that_a_preset_said(capsys, tmp_path):
    assert cli.main(["search", "--preset", "quick", "--epochs", "1", *TINY[:6], "--out", "run"]) == 0
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (
        SearchConfig(**written)
        == SearchConfig.from_preset(
            "quick", epochs=1, space="s2", cells=1, channels=2, out="run", recompute="never"
        ).resolved()
    )


def test_search_in_a_process_of_its_own(command):
    done = command("search", *TINY, "--out", "run")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress bar where no terminal is
    assert done.stdout.startswith("branch outputs are kept for backward: keeping them takes ")
    assert "\nepoch 1/1: train loss " in done.stdout
    assert re.search(r"^held-out accuracy +0\.", done.stdout, re.MULTILINE)
    assert "run/cells.svg" in done.stdout


def test_search_again_and_draw(capsys, tmp_path):
    assert cli.main(["search", *TINY, "--out", "run"]) == 0
    capsys.readouterr()
    fails(capsys, 2, "--out: run already holds a search", "search", *TINY, "--out", "run")
    again = ["search", "--config", "run/config.json", "--resume"]
    assert cli.main(again) == 0
    capsys.readouterr()
    told = (
        "run/checkpoint.pt: this search was started with --seed 0, got --seed 3 (its options: --config run/config.json)"
    )
    fails(capsys, 2, told, *again, "--seed", "3")
    assert cli.main(["draw", "run/genotype.json", "--out", "run/cells.pdf"]) == 0
    assert capsys.readouterr().out == "run/cells.pdf\n"
    assert (tmp_path / "run" / "cells.pdf").read_bytes().startswith(b"%PDF")
    assert cli.main(["search", *TINY, "--out", "run", "--overwrite", "--seed", "3"]) == 0


def test_code_1_where_the_run_fails(capsys):
    assert cli.main(["search", *TINY, "--out", "run", "--lr", "1e30", "--lr-min", "1e30", "--clip", "1e30"]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert ", at epoch 1 of 1, step " in told
    assert "run/checkpoint.pt holds the last good state" in told


def test_out_that_is_no_folder(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    told = "--out: expected a folder that can be written to, got file/run (Not a directory)\n"
    fails(capsys, 2, told, "search", *TINY, "--out", "file/run")


def test_draw_refuses_a_broken_genotype(capsys, tmp_path):
    plain = json.loads(derive(find_space("darts"), 8, [[[1 / 7] * 7] * 14] * 2).to_json())
    plain["cells"][0]["edges"][1]["op"] = "conv"
    (tmp_path / "genotype.json").write_text(json.dumps(plain))
    fails(
        capsys, 2, f"{tmp_path}/genotype.json: $.cells[0].edges[1].op: expected one of none, max_pool_3x3",
        "draw", str(tmp_path / "genotype.json"),
    )  # fmt: skip


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["search", "--help"])
    assert stopped.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    for entry in fields(SearchConfig):
        assert f"{flag(entry.name)} " in told or f"{flag(entry.name)}," in told
        assert entry.metadata["help"] in told
        assert f"[{entry.metadata['unit']}]" in told if entry.metadata["unit"] else True
        shown = entry.metadata["unset"] if entry.default is None else entry.default
        shown = {True: "yes", False: "no"}[shown] if isinstance(shown, bool) else shown
        assert f"(default: {shown})" in told
    assert "type: " not in told
    for name, (about, _) in PRESETS.items():
        assert f"{name}: {about}" in told


def test_info(capsys):
    assert cli.main(["info"]) == 0
    told = capsys.readouterr().out
    assert f"darts: {(180 * 7**8) ** 2:,} = 1.1e+18 " in told
    assert f"s2: {(180 * 2**8) ** 20:,} = 1.9e+93 " in told
    for name in ("torch", "digits", "imagefolder", "amended", "first_order"):
        assert name in told


@pytest.mark.parametrize(
    ("missing", "arguments", "purpose"),
    [
        ("jsonargparse", ["info"], "the command line"),
        ("sklearn", ["search", *TINY], "the data set digits"),
        ("matplotlib", ["search", *TINY], "drawing the cells"),
    ],
)
def test_missing_packages_are_named(tmp_path, missing, arguments, purpose):
    """With the package made impossible to import, in a process of its own."""
    script = (
        "import sys\n"
        f"sys.modules['{missing}'] = None\n"
        "from amended_darts.cli import main\n"
        f"sys.exit(main({arguments!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        f'amended-darts: {purpose} needs {missing}, which is not installed: pip install "amended-darts[search]"\n'
    )


def test_import_is_light():
    """The package alone loads neither torch nor numpy, and its public names are there when asked for."""
    script = (
        "import sys, amended_darts\n"
        "assert not {'torch', 'numpy', 'matplotlib', 'jsonargparse'} & set(sys.modules)\n"
        "for name in amended_darts.__all__: getattr(amended_darts, name)\n"
        "import amended_darts.search_loop\n"
        "assert callable(amended_darts.search)\n"
    )
    subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, check=True)


def test_commands_are_a_module_each():
    _, modules = cli.build_parser()
    assert tuple(modules) == COMMANDS
    for module in modules.values():
        assert module.HELP
        assert callable(module.add_arguments)
        assert callable(module.run)


def test_config_json_of_a_run_that_overwrote_resumes(command: Any) -> None:
    """config.json holds settings, not how one start treated an earlier one."""
    tiny = ("--space", "s2", "--cells", "1", "--channels", "2", "--epochs", "1", "--out", "run")
    assert command("search", *tiny, "--overwrite").returncode == 0
    resumed = command("search", "--config", "run/config.json", "--resume")
    assert resumed.returncode == 0, resumed.stderr

"""Every space from search to a network elsewhere: search, derive, retrain, evaluate, export, reload where there is no
compiled library. Small sizes, by the command line alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from amended_darts import cli
from amended_darts.genotype import Genotype
from amended_darts.retraining.trained import load_trained
from amended_darts.spaces import SPACES

from tests.search.processes import ENVIRONMENT

ELSEWHERE = """
import json, sys
sys.modules["amended_darts_ext"] = None
import torch
from amended_darts.derived.files import load_network
for line in sys.stdin:
    network, spec = load_network(line.strip())
    images = torch.linspace(-1, 1, 4 * 64).view(4, 1, 8, 8)
    torch.manual_seed(0)
    print(json.dumps([network(images).tolist(), list(spec.classes)]), flush=True)
"""


@pytest.fixture(scope="module")
def elsewhere():
    """A process without the compiled library that loads networks and gives their logits."""
    with subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE], env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def ask(folder: Path) -> tuple[torch.Tensor, list[str]]:
            assert process.stdin is not None
            assert process.stdout is not None
            print(folder, file=process.stdin, flush=True)
            logits, classes = json.loads(process.stdout.readline())
            return torch.tensor(logits), classes

        yield ask
        assert process.stdin is not None
        process.stdin.close()


OWN = {
    "name": "mine",
    "nodes": 2,
    "cells": 4,
    "channels": 2,
    "candidates": {"normal": ["skip_connect", "nor_conv_3x3"], "reduction": ["max_pool_3x3", "sep_conv_3x3"]},
    "edges": [{"node": 2, "input": 0}, {"node": 3, "input": 1}, {"node": 3, "input": 2}],
    "kept": 2,
    "reductions": [[1, 2]],
}


@pytest.mark.parametrize("space", [*SPACES, "mine"])
def test_from_search_to_elsewhere(space, tmp_path, monkeypatch, capsys, elsewhere):
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text(json.dumps(OWN))
    monkeypatch.setattr("amended_darts.search_loop._draw", lambda *arguments: None)  # pictures have tests of their own

    def run(*arguments: str) -> str:
        assert cli.main(arguments) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    size = ("--cells", "3", "--channels", "2", "--batch-size", "256")
    run(
        "search",
        "--space",
        f"{space}.json" if space == "mine" else space,
        *size,
        "--epochs",
        "2",
        "--alpha-lr",
        "0.1",
        "--out",
        "search",
    )
    genotype = Genotype.load(Path("search/genotype.json"))
    assert genotype.space == space
    told = run("retrain", "--genotype", "search", *size, "--epochs", "1", "--out", "retrained")
    assert told.startswith("nasbench201 network" if space == "nasbench201" else "cifar network")
    run("export", "retrained", "--out", "exported", "--formats", "safetensors")
    trained = load_trained("retrained").network
    with torch.no_grad():
        torch.manual_seed(0)
        here = trained(torch.linspace(-1, 1, 4 * 64).view(4, 1, 8, 8))
    there, classes = elsewhere(Path("exported").resolve())
    assert classes == [str(digit) for digit in range(10)]
    assert torch.allclose(here, there, atol=1e-5)
    if space == "robust-s4":
        return  # its networks draw noise: no two measurements are the same
    measured = []
    for folder in ("retrained", "exported"):
        run("evaluate", folder, "--data", "digits", "--out", "found.json")
        measured.append(json.loads(Path("found.json").read_text()))
    assert measured[0] == measured[1]
    last = json.loads(Path("retrained/metrics.jsonl").read_text().splitlines()[-1])
    assert (last["top1"], last["top5"]) == (measured[0]["top1"], measured[0]["top5"])


def test_exported_formats(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    size = ["--cells", "3", "--channels", "2", "--epochs", "1", "--batch-size", "512"]
    assert cli.main(["retrain", "--genotype", "DARTS_V2", *size, "--out", "run"]) == 0
    capsys.readouterr()
    assert cli.main(["export", "run"]) == 0
    told = capsys.readouterr().out.splitlines()
    names = ["network.safetensors", "genotype.json", "network.pt2", "network.onnx"]
    assert [line.split(" ")[0] for line in told] == [f"run/export/{name}" for name in names]
    assert "onnxruntime's logits differ by" in told[-1]
    assert sorted(path.name for path in Path("run/export").iterdir()) == sorted(names)


@pytest.mark.parametrize(
    ("told", "arguments"),
    [
        ("--formats: expected some of safetensors,pt2,onnx, got 'tflite'", ["export", "run", "--formats", "tflite"]),
        ("network: expected the folder of a training or of an export, got run", ["export", "run"]),
        ("network: expected checkpoint.pt or network.safetensors in ., got neither", ["evaluate", "."]),
        ("--batch-size: expected at least 1 image, got 0", ["evaluate", ".", "--batch-size", "0"]),
        ("--device: expected auto, cpu, cuda or cuda:N, got 'tpu'", ["evaluate", ".", "--device", "tpu"]),
    ],
)
def test_wrong_usage(tmp_path, monkeypatch, capsys, told, arguments):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"amended-darts: {told}")


def test_evaluating_on_other_images(tmp_path, capsys):
    from amended_darts.derived.files import save_network
    from amended_darts.derived.spec import NetworkSpec
    from amended_darts.published import find_genotype

    spec = NetworkSpec(find_genotype("DARTS_V2"), "cifar", 3, 2, ("a", "b"), (0.0,) * 3, (1.0,) * 3, (8, 8))
    save_network(tmp_path, spec, spec.build().state_dict())
    assert cli.main(["evaluate", str(tmp_path)]) == 2
    assert "--data: expected the data set to measure on, got nothing" in capsys.readouterr().err
    assert cli.main(["evaluate", str(tmp_path), "--data", "digits"]) == 2
    assert "--data: expected 2 classes of images with 3 channels" in capsys.readouterr().err

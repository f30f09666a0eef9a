"""The example runs as it stands, and what it finds can be made into a network and read back."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch
from amended_darts.derived import DerivedNetwork
from amended_darts.genotype import Genotype

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_search.py"


@pytest.mark.usefixtures("registered_for_this_test")
def test_a_search_of_ones_own(tmp_path, capsys):
    example = runpy.run_path(str(EXAMPLE))
    example["main"](str(tmp_path / "run"))
    accuracies = [float(line) for line in capsys.readouterr().out.splitlines()[:3]]
    assert accuracies[2] > 0.5  # chance is 0.1
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"cells.svg", "alphas.png", "config.json"}
    genotype = Genotype.load(tmp_path / "run" / "genotype.json")
    assert genotype.space == "gates"
    text = (tmp_path / "run" / "genotype.json").read_text().replace("sep_conv_3x3", "gated_conv_3x3")
    network = DerivedNetwork(Genotype.from_json(text), classes=10, in_channels=1, cells=3, channels=4)
    assert network(torch.randn(2, 1, 8, 8)).shape == (2, 10)

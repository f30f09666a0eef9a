"""Consistency of search and re-training: what --consistent sets, what differs and is told, and searches whose edges are
given or pruned on the way."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from amended_darts import cli, search_loop
from amended_darts.config import SearchConfig
from amended_darts.consistency import describe, differences, side_by_side, warning
from amended_darts.data import load_data
from amended_darts.errors import InputError, Interrupted
from amended_darts.genotype import Genotype
from amended_darts.recipes import RECIPES
from amended_darts.search_loop import search
from amended_darts.search_network import follow
from amended_darts.search_state import SearchState
from amended_darts.search_steps import alpha_step, losses, weight_step
from amended_darts.topology import topology_of

from .test_resume import interrupt_at, results, same
from .test_retraining_form import random_genotype


def names(config):
    return [setting.name for setting in differences(config)]


def test_consistent_is_the_recipe():
    config = SearchConfig(space="darts", consistent=True, epochs=10).resolved()
    assert (config.recipe, config.cells, config.channels, config.stem) == ("cifar", 20, 36, "cifar")
    assert (config.affine, config.pool_norm, config.drop_path, config.auxiliary) == (True, False, 0.2, 0.4)
    assert (config.cutout, config.edges, config.prune_epoch) == (16, "pruned", 5)
    assert names(config) == ["batch size"]
    assert differences(replace(config, batch_size=96)) == []
    assert warning(replace(config, batch_size=96)) == ""
    assert "agree" in describe(replace(config, batch_size=96))


def test_consistent_with_imagenet_and_with_nasbench201():
    config = SearchConfig(consistent=True, recipe="imagenet", cutout=4).resolved()
    assert (config.cells, config.channels, config.stem, config.drop_path) == (14, 48, "imagenet", 0)
    assert names(config) == ["cutout", "augmentation", "batch size", "weight decay", "label smoothing"]
    config = SearchConfig(space="nasbench201", consistent=True).resolved()
    assert (config.recipe, config.cells, config.channels, config.edges) == ("nasbench201", 15, 16, "all")
    assert names(config) == ["batch size", "weight decay"]


def test_differences_of_darts():
    """Those of the public code of 2018, all named."""
    config = SearchConfig(space="darts8").resolved()
    assert names(config) == [
        "cells", "channels", "edges per cell", "affine BN", "BN after pools", "drop-path", "auxiliary head", "cutout",
        "batch size",
    ]  # fmt: skip
    found = {setting.name: (setting.search, setting.retraining) for setting in side_by_side(config)}
    assert found["cells"] == (8, 20)
    assert found["channels"] == (16, 36)
    assert found["edges per cell"] == (14, 8)
    assert found["drop-path"] == (0.0, 0.2)
    assert found["batch size"] == (64, 96)
    told = warning(config)
    assert told.count("\n") == 0
    assert told.startswith(
        "Search and re-training (cifar) differ: cells 8 (re-training: 20), channels 16 (re-training:"
    )
    assert "BN after pools yes (re-training: no)" in told
    assert "--consistent" in told
    table = describe(config).splitlines()
    assert table[0].split() == ["search", "re-training"]
    assert any(line.split() == ["cells", "8", "20", "differs", "(--cells)"] for line in table)
    assert any(line.split() == ["stem", "cifar", "cifar"] for line in table)


def test_depth_of_a_space_with_an_architecture_per_cell_is_its_own():
    config = SearchConfig(space="s2", cells=6, consistent=True).resolved()
    assert config.cells == 6
    assert "cells" not in names(config)


def test_what_is_said_counts():
    config = SearchConfig(consistent=True, cells=8, drop_path=0.1, affine=False, edges="all").resolved()
    assert (config.cells, config.drop_path, config.affine, config.edges) == (8, 0.1, False, "all")
    assert names(config) == ["cells", "edges per cell", "affine BN", "drop-path", "batch size"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"recipe": "nasbench201"}, "--recipe: expected one for the cells of the space darts, got 'nasbench201'"),
        ({"recipe": "mnist"}, "--recipe: expected one of cifar, imagenet, nasbench201, got 'mnist'"),
        ({"space": "nasbench201", "stem": "imagenet"}, "--stem: expected cifar for the space nasbench201"),
        ({"edges": "fixed"}, "--edges, --topology: expected fixed and a genotype file together, got fixed and no file"),
        (
            {"edges": "all", "topology": "a"},
            "--edges, --topology: expected fixed and a genotype file together, got all",
        ),
        ({"prune_epoch": 3}, "--prune-epoch: expected --edges pruned, got --edges all"),
        ({"edges": "pruned", "epochs": 1}, "--prune-epoch: expected epochs before and after it, 1 to below --epochs 1"),
        ({"edges": "pruned", "epochs": 4, "prune_epoch": 4}, "--prune-epoch: expected epochs before and after it"),
        ({"topology": "/absent.json"}, "genotype: expected a JSON file, cannot read /absent.json"),
        ({"drop_path": 1.0}, "--drop-path: expected a share from 0 to below 1, got 1.0"),
    ],
)
def test_contradictions(settings, told):
    with pytest.raises(InputError) as caught:
        SearchConfig(**settings).resolved()
    assert str(caught.value).startswith(told)


@pytest.fixture
def state(tiny):
    config = tiny(cells=3, channels=4, auxiliary=0.4, drop_path=0.5, affine=True, pool_norm=False).resolved()
    made = SearchState(config, load_data(config))
    made.network.train()
    return made


def test_losses():
    logits, beside, labels = torch.randn(4, 5), torch.randn(4, 5), torch.tensor([0, 1, 2, 3])
    main, other = (torch.nn.functional.cross_entropy(x, labels) for x in (logits, beside))
    assert losses(logits, labels, 0.4) == (logits, main, main)
    found = losses((logits, beside), labels, 0.4)
    assert found[0] is logits
    torch.testing.assert_close(found[1:], (main, main + 0.4 * other))
    assert losses((logits, beside), labels)[2] == main


def test_auxiliary_head_learns_in_weight_steps_and_does_not_judge_architectures(state):
    """Its weights move in a step on w; the validation loss of α is that of the classifier alone."""
    train, val = next(state.weight_stream.batches(0)), next(state.alpha_stream.batches(0))
    before = [parameter.detach().clone() for parameter in state.network.auxiliary.parameters()]
    measured = alpha_step(
        state.network, state.architecture, state.alpha_optimizer, train, val, "first_order", {}, auxiliary=0.4
    )
    assert all(map(torch.equal, before, state.network.auxiliary.parameters()))
    assert measured["alpha_loss"] < 4
    weight_step(state.network, state.architecture, state.weight_optimizer, train, 5.0, auxiliary=0.4)
    assert not any(map(torch.equal, before, state.network.auxiliary.parameters()))


def test_second_term_with_drop_path_is_finite_difference_of_one_draw(state):
    """Both passes of a pair drop the same paths; without that the difference would be noise over 2R, thousands of
    times the first term."""
    state.network.set_drop_path(0.5)
    train, val = next(state.weight_stream.batches(0)), next(state.alpha_stream.batches(0))
    settings = {"eta": 1e-6, "radius": 0.01}
    measured = alpha_step(
        state.network, state.architecture, state.alpha_optimizer, train, val, "amended", settings, auxiliary=0.4
    )
    assert float(measured["second_unscaled_ratio"]) < 1e4


def test_drop_path_grows_with_the_epochs(state):
    assert state.config.epochs == 2
    found = []
    for state.epoch in range(2):
        state.enter_epoch()
        found.append(float(state.network.drop_path))
    assert found == [0.0, 0.25]


def test_optimiser_follows_pruned_edges(state):
    """Momentum of what is left stays, that of BN loses the rows that BN loses."""
    train = next(state.weight_stream.batches(0))
    weight_step(state.network, state.architecture, state.weight_optimizer, train, 5.0, auxiliary=0.4)
    optimizer = state.weight_optimizer
    before = {parameter: entry["momentum_buffer"].clone() for parameter, entry in optimizer.state.items()}
    sliced = state.network.keep_edges(topology_of(random_genotype("s2", 3)))
    follow(optimizer, state.network, sliced)
    parameters = list(state.network.parameters())
    assert optimizer.param_groups[0]["params"] == parameters
    assert set(optimizer.state) == set(parameters)
    origin = {new: (old, rows) for old, (new, rows) in sliced.items()}
    assert origin
    for parameter in parameters:
        old, rows = origin.get(parameter, (parameter, slice(None)))
        assert torch.equal(optimizer.state[parameter]["momentum_buffer"], before[old][rows])
    weight_step(state.network, state.architecture, optimizer, train, 5.0, auxiliary=0.4)


def test_fixed_edges(tiny, tmp_path):
    """A search over operators alone; the pictures of α leave the other edges blank."""
    given = random_genotype("darts", 8)
    given.save(tmp_path / "given.json")
    config = tiny(cells=3, topology=str(tmp_path / "given.json"), epochs=1)
    result = search(config)
    assert result.config.edges == "fixed"
    normal, reduction = topology_of(given)
    found = [normal if not cell.reduction else reduction for cell in result.genotype.cells]
    assert topology_of(result.genotype) == found
    calls = [len(call.nodes) for cell in SearchState(result.config, load_data(config)).network.cells
             for call in itertools.chain.from_iterable(cell.states)]  # fmt: skip
    assert sum(calls) == 24
    assert (tmp_path / "run" / "consistency.txt").read_text().startswith("  ")


PRUNED = {
    "cells": 2, "channels": 2, "epochs": 3, "edges": "pruned", "prune_epoch": 1, "affine": True, "drop_path": 0.3,
    "auxiliary": 0.4, "fraction": 0.3,
}  # fmt: skip


def test_pruned_edges(tiny, monkeypatch):
    """All edges at first, those chosen by then from there on; interrupted at any point, it resumes bit for bit."""
    monkeypatch.setattr(search_loop, "_draw", lambda *arguments: None)
    kept = []

    def note(metrics):
        kept.append(Genotype.load(Path(config.out) / "genotype.json"))

    config = tiny(**PRUNED)
    search(config, on_epoch=note)
    whole = results(Path(config.out))
    assert topology_of(kept[0]) == topology_of(kept[1]) == topology_of(kept[2])
    assert len(whole["state"]["weight_optimizer"]["param_groups"][0]["params"]) == sum(
        1 for _ in _pruned_state(config, kept[0]).network.parameters()
    )
    for step in (2, 3, 7):  # before the first edge goes, at that moment, after it
        with monkeypatch.context() as patch:
            interrupt_at(patch, "weight_step", step)
            with pytest.raises(Interrupted):
                search(replace(config, overwrite=True))
        search(replace(config, resume=True))
        assert same(results(Path(config.out)), whole)


def _pruned_state(config, genotype):
    state = SearchState(config.resolved(), load_data(config))
    state.keep_edges(topology_of(genotype))
    return state


def test_told_at_the_start_unless_told_not_to(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny = ["search", "--space", "s2", "--cells", "1", "--channels", "2", "--epochs", "1", "--fraction", "0.2"]
    assert cli.main([*tiny, "--out", "one"]) == 0
    assert "\nSearch and re-training (cifar) differ: channels 2 (re-training: 36), " in capsys.readouterr().out
    assert cli.main([*tiny, "--no-compare", "--out", "two"]) == 0
    assert "re-training" not in capsys.readouterr().out
    text = (tmp_path / "one" / "consistency.txt").read_text()
    assert text == (tmp_path / "two" / "consistency.txt").read_text()
    assert "channels" in text


def test_recipes_are_the_published_ones():
    cifar, imagenet = RECIPES["cifar"], RECIPES["imagenet"]
    assert (cifar.cells, cifar.channels, cifar.epochs, cifar.batch_size, cifar.lr) == (20, 36, 600, 96, 0.025)
    assert (cifar.drop_path, cifar.auxiliary, cifar.cutout, cifar.weight_decay) == (0.2, 0.4, 16, 3e-4)
    assert (imagenet.cells, imagenet.channels, imagenet.epochs, imagenet.lr) == (14, 48, 250, 0.1)
    assert (imagenet.lr_decay, imagenet.weight_decay, imagenet.label_smoothing) == (0.97, 3e-5, 0.1)

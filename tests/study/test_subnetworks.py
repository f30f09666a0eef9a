"""Sub-networks measured during a search: drawn as softmax(α) says, and without a trace in the search."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from amended_darts import SearchConfig, search
from amended_darts.architecture import Architecture
from amended_darts.callbacks import Callback
from amended_darts.data import heldout_batches
from amended_darts.derived import one_hot_weights
from amended_darts.search_state import SearchState
from amended_darts.spaces import SPACES
from amended_darts.study.subnetworks import SubNetworks, inherited_accuracy, sample_genotype

TINY = SearchConfig(
    space="nasbench201",
    cells=3,
    channels=2,
    epochs=2,
    alpha_every=1,
    batch_size=64,
    fraction=0.2,
    heldout_fraction=0.3,
    compare=False,
)


def test_operators_are_drawn_with_their_softmax_weights() -> None:
    architecture = Architecture(SPACES["nasbench201"], 3)
    with torch.no_grad():
        architecture.alphas[0].copy_(torch.randn(architecture.alphas[0].shape))
    draws, random = 1000, torch.Generator().manual_seed(0)
    counts = [Counter() for _ in range(6)]
    for _ in range(draws):
        for count, edge in zip(counts, sample_genotype(architecture, random).cells[0].edges, strict=True):
            count[edge.op] += 1
    for count, row in zip(counts, architecture.weights()[0].tolist(), strict=True):
        for name, weight in zip(SPACES["nasbench201"].normal[0], row, strict=True):
            assert count[name] / draws == pytest.approx(weight, abs=5 * (weight * (1 - weight) / draws) ** 0.5)


def test_shorter_rows_never_draw_what_they_do_not_offer() -> None:
    space = SPACES["robust-s1"]
    architecture = Architecture(space)
    random = torch.Generator().manual_seed(0)
    offered = [dict(zip(space.edges, names, strict=True)) for names in (space.normal, space.reduction)]
    for _ in range(50):
        for cell, names in zip(sample_genotype(architecture, random).cells, offered, strict=True):
            assert all(edge.op in names[edge.node, edge.input] for edge in cell.edges)
            assert Counter(edge.node for edge in cell.edges) == dict.fromkeys((2, 3, 4, 5), 2)


def test_mean_weights_are_taken_over_the_edges_that_offer_an_operator() -> None:
    architecture = Architecture(SPACES["robust-s2"])
    found = architecture.by_operator(architecture.weights())
    assert found == pytest.approx({"skip_connect": 0.5, "sep_conv_3x3": 0.5}, abs=0.01)


def test_the_search_goes_on_as_if_nothing_had_been_measured(tmp_path: Path) -> None:
    plain = search(replace(TINY, out=str(tmp_path / "plain")))
    measured = search(replace(TINY, out=str(tmp_path / "measured")), callbacks=[SubNetworks(every=1, samples=2)])
    assert all(torch.equal(a, b) for a, b in zip(plain.alpha, measured.alpha, strict=True))
    for line, more in zip(plain.history, measured.history, strict=True):
        assert {"discretised_accuracy", "sampled_accuracy", "sampled_deviation"} <= set(more)
        assert all(more[name] == value for name, value in line.items() if name not in ("seconds", "peak_memory_bytes"))


class _OneHot(Callback):
    """Compares a sub-network with the super-network that is given its architecture as one-hot weights."""

    @torch.no_grad()
    def on_measure(self, state: SearchState, metrics: dict) -> None:
        genotype = state.architecture.genotype()
        weights = one_hot_weights(state.architecture.space, genotype)
        network = state.network
        before = {name: buffer.clone() for name, buffer in network.named_buffers()}
        norms = [module for module in network.modules() if hasattr(module, "momentum")]
        momenta = [module.momentum for module in norms]
        # Statistics of its own, by cumulative average, as torch.optim.swa_utils.update_bn takes them.
        network.train()
        for count, (images, _) in enumerate(state.weight_stream.sample(512), 1):
            for module in norms:
                module.momentum = 1 / count
            network(images, weights)
        network.eval()
        right = sum(
            int((network(images, weights).argmax(1) == labels).sum())
            for images, labels in heldout_batches(state.data, 64, state.device)
        )
        metrics["one_hot"] = right / len(state.data.heldout.labels)
        metrics["inherited"] = inherited_accuracy(state, genotype)
        for module, momentum in zip(norms, momenta, strict=True):
            module.momentum = momentum
        for name, buffer in network.named_buffers():
            buffer.copy_(before[name])


def test_an_inherited_sub_network_is_the_super_network_with_one_hot_weights(tmp_path: Path) -> None:
    history = search(replace(TINY, out=str(tmp_path)), callbacks=[_OneHot()]).history
    for line in history:
        # Statistics are taken in other batches of the same images: a few decisions may differ.
        assert line["inherited"] == pytest.approx(line["one_hot"], abs=0.05)

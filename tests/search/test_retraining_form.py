"""The super-network in the form of re-training: drop-path, auxiliary head, stems, and fewer edges."""

from __future__ import annotations

import json

import pytest
import torch
from amended_darts.architecture import Architecture
from amended_darts.errors import InputError
from amended_darts.genotype import Genotype, derive
from amended_darts.spaces import Space, find_space, uniform
from amended_darts.supernet import SuperNet
from amended_darts.supernet.edges import StateEdges
from amended_darts.topology import read_topology, topology_of

from .test_supernet import agree


def random_genotype(name, cells, seed=0):
    space = find_space(name)
    torch.manual_seed(seed)
    weights = [torch.rand(len(space.edges), len(group.candidates[0])).tolist() for group in space.groups(cells)]
    return derive(space, cells, weights)


@pytest.mark.parametrize("implementation", ["fused", "reference"])
@pytest.mark.parametrize("per_sample", [False, True])
def test_drop_path(implementation, per_sample):
    """Each edge and sample loses all operators but the identity, or has them scaled up so that the mean stays."""
    torch.manual_seed(0)
    edges = StateEdges(
        4, [3, 1], [2, 3], ("skip_connect", "avg_pool_3x3"), 1, pool_norm=False, implementation=implementation
    ).double()
    x = torch.randn(400, 4, 5, 5, dtype=torch.float64)
    weights = torch.rand(5, 3, dtype=torch.float64)
    given = weights.unsqueeze(1).expand(5, 400, 3) if per_sample else weights
    pooled = torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    patterns = []
    for row, output in zip((3, 1), edges(x, given, torch.tensor(0.25)), strict=True):
        factors = ((output - weights[row, 0] * x) / (weights[row, 1] * pooled)).flatten(1)
        torch.testing.assert_close(factors, factors[:, :1].expand_as(factors), rtol=1e-4, atol=1e-6)
        kept = factors[:, 0].round(decimals=4)
        assert set(kept.tolist()) == {0.0, round(1 / 0.75, 4)}
        assert 0.65 < float((kept > 0).double().mean()) < 0.85
        patterns.append(kept > 0)
    assert not torch.equal(*patterns)  # edges are dropped apart from each other
    agree(edges(x, given, torch.tensor(0.0)), edges(x, given))


def test_identity_is_not_dropped_but_a_strided_skip_is():
    one = StateEdges(4, [0], [2], ("skip_connect", "none"), 1)
    x = torch.randn(64, 4, 6, 6)
    (output,) = one(x, torch.ones(1, 2), torch.tensor(0.9))
    assert torch.equal(output, x)
    two = StateEdges(4, [0], [2], ("skip_connect", "none"), 2)
    (output,) = two(x, torch.ones(1, 2), torch.tensor(0.9))
    assert 30 < sum(not sample.any() for sample in output) < 64


def test_drop_path_of_a_network():
    """In training alone, by as much as was set; the same draws after the same seed."""
    space = find_space("s2")
    network = SuperNet(space, 5, cells=3, channels=4, drop_path=True)
    weights = [rows.detach() for rows in Architecture(space, 3).weights()]
    x = torch.randn(4, 3, 8, 8)

    def run(seed=0):
        torch.manual_seed(seed)
        return network(x, weights)

    torch.testing.assert_close(run(0), run(1), rtol=1e-4, atol=1e-4)  # not yet set: none are dropped
    network.set_drop_path(0.5)
    assert torch.equal(run(0), run(0))
    assert not torch.allclose(run(0), run(1), atol=1e-2)
    network.eval()
    assert torch.equal(run(0), run(1))
    assert not any("drop" in name for name in network.state_dict())
    with pytest.raises(InputError, match=r"drop_path: expected .* from 0 to below 1, got 1"):
        network.set_drop_path(1.0)
    with pytest.raises(InputError, match="drop_path: expected a network made with drop_path=True"):
        SuperNet(space, 5, cells=3, channels=4).set_drop_path(0.1)


@pytest.mark.parametrize(("name", "after"), [("darts", 2), ("s2", 2), ("nasbench201", 2)])
def test_auxiliary_head(name, after):
    """Its logits come beside the main ones in training, from the cell at two thirds of the depth."""
    space = find_space(name)
    network = SuperNet(space, 5, cells=3, channels=4, auxiliary=True)
    plain = SuperNet(space, 5, cells=3, channels=4)
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("auxiliary")})
    weights = Architecture(space, 3).weights()
    x = torch.randn(4, 3, 16, 16)
    seen = []
    network.cells[after].register_forward_hook(lambda module, given, output: seen.append(output))
    main, beside = network(x, weights)
    assert main.shape == beside.shape == (4, 5)
    assert torch.equal(main, plain(x, weights))
    torch.testing.assert_close(beside, network.auxiliary(seen[0]))
    assert isinstance(network.eval()(x, weights), torch.Tensor)


def test_imagenet_stem():
    space = find_space("darts")
    network = SuperNet(space, 5, cells=3, channels=4, form="imagenet")
    sizes = []
    for cell in network.cells:
        cell.register_forward_hook(lambda module, given, output: sizes.append(output.shape[2]))
    assert network(torch.randn(2, 3, 64, 64), Architecture(space, 3).weights()).shape == (2, 5)
    assert sizes == [8, 4, 2]
    with pytest.raises(InputError, match="form: expected cifar, got 'imagenet'"):
        SuperNet(find_space("nasbench201"), 5, form="imagenet")


@pytest.mark.parametrize("implementation", ["fused", "reference"])
@pytest.mark.parametrize("name", ["darts", "s2", "robust-s1", "robust-s4"])
def test_fewer_edges(name, implementation):
    """What the full network computes with weight zero on the other edges; optimiser state could follow the rows."""
    space = find_space(name)
    torch.manual_seed(0)
    settings = {"cells": 3, "channels": 4, "implementation": implementation, "affine": True}
    full, pruned = (SuperNet(space, 5, **settings).double() for _ in range(2))
    pruned.load_state_dict(full.state_dict())
    before = set(pruned.parameters())
    topology = topology_of(random_genotype(name, 3))
    sliced = pruned.keep_edges(topology)
    architecture = Architecture(space, 3).double()
    architecture.keep_edges(topology)
    weights = [rows.detach().clone() for rows in architecture.weights()]
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    zeroed = [rows.clone() for rows in weights]
    for group, rows in enumerate(zeroed):
        left = architecture.rows(group)
        assert len(left) == 8
        rows[[row for row in range(14) if row not in left]] = 0
    torch.manual_seed(1)
    expected = full(x, zeroed)
    torch.manual_seed(1)
    if name != "robust-s4":  # noise is drawn for fewer edges
        agree([pruned(x, weights).detach()], [expected.detach()])
    for old, (new, rows) in sliced.items():
        assert old in before
        assert new in set(pruned.parameters())
        assert torch.equal(new, old[rows])
    assert set(pruned.parameters()) <= before | {new for new, _ in sliced.values()}
    calls = [len(call.nodes) for cell in pruned.cells for state in cell.states for call in state]
    assert sum(calls) == 8 * 3
    assert architecture.genotype().cells[0].nodes == 4
    assert topology_of(architecture.genotype()) == topology


def test_entropy_is_of_edges_that_count():
    space = find_space("s2")
    architecture = Architecture(space, 3)
    topology = topology_of(random_genotype("s2", 3))
    with torch.no_grad():
        for group, alpha in enumerate(architecture.alphas):
            alpha[[row for row, edge in enumerate(space.edges) if edge in topology[group]], 0] = 50.0
    assert architecture.entropy() > 0.1
    architecture.keep_edges(topology)
    assert architecture.entropy() < 1e-6


def test_topology_from_a_file(tmp_path):
    genotype = random_genotype("darts", 8)
    genotype.save(tmp_path / "darts.json")
    normal, reduction = topology_of(genotype)
    assert read_topology(tmp_path / "darts.json", find_space("darts"), 8) == [normal, reduction]
    expected = [reduction if index in (2, 4) else normal for index in range(6)]
    assert read_topology(tmp_path / "darts.json", find_space("s2"), 6) == expected
    other = random_genotype("s2", 6)
    other.save(tmp_path / "s2.json")
    assert read_topology(tmp_path / "s2.json", find_space("s2"), 6) == topology_of(other)


def test_topologies_that_do_not_fit(tmp_path):
    path = tmp_path / "genotype.json"
    random_genotype("s2", 5).save(path)
    with pytest.raises(InputError, match=r"\$.cells: expected 6 cells for the space s2, or one of each type, got 5"):
        read_topology(path, find_space("s2"), 6)
    random_genotype("nasbench201", 3).save(path)
    with pytest.raises(InputError, match=r"\$.cells\[0\]: expected 2 inputs and 4 nodes as in the space darts, got 1"):
        read_topology(path, find_space("darts"), 6)
    random_genotype("darts", 8).save(path)
    names = uniform(3, ["skip_connect"])
    with pytest.raises(InputError, match=r"\$.cells\[0\]: expected 2 inputs and 3 nodes as in the space mine, got 2"):
        read_topology(path, Space("mine", 3, normal=names, reduction=names), 6)
    plain = json.loads(random_genotype("darts", 8).to_json())
    plain["space"] = "unknown"
    plain["cells"][1]["edges"].pop()
    path.write_text(json.dumps(plain))
    with pytest.raises(InputError, match=r"\$.cells\[1\].edges: expected 2 edges into node 5, got 1"):
        read_topology(path, find_space("darts"), 6)
    assert isinstance(Genotype.load(path), Genotype)

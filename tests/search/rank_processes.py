"""What test_ranks.py lets two processes do; they import this module by its name."""

from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.distributed as dist
from amended_darts.architecture import Architecture
from amended_darts.config import SearchConfig
from amended_darts.data import Stream, load_data
from amended_darts.errors import RunError
from amended_darts.estimators import ESTIMATORS, call_settings
from amended_darts.hypergradient import gradient
from amended_darts.ranks import Ranks, joined_ranks
from amended_darts.search_state import SearchState
from amended_darts.search_steps import alpha_step, weight_step
from amended_darts.spaces import find_space
from torch import nn


class Smooth(nn.Module):
    """Two operations on every edge and no batch normalisation: a shard's loss is that of its images alone."""

    def __init__(self, edges: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(nn.ModuleList([nn.Linear(64, 6), nn.Linear(64, 6)]) for _ in range(edges))
        self.last = nn.Linear(6, 10)

    def forward(self, x, weights):
        x = x.flatten(1).double()
        sums = sum(w[0] * a(x) + w[1] * b(x).tanh() for w, (a, b) in zip(weights[0], self.edges, strict=True))
        return self.last(torch.tanh(sums))


def steps(ranks: Ranks) -> dict[str, torch.Tensor]:
    """For every estimator: α and w after two α steps and two w steps of plain gradient descent on their shards."""
    config = SearchConfig(space="s2", cells=1, batch_size=16)
    data = load_data(config)
    indices = torch.arange(200)
    results = {}
    for name in ESTIMATORS:
        torch.manual_seed(0)
        architecture = Architecture(find_space("s2"), 1).double()
        network = Smooth(14).double()
        alpha_optimizer = torch.optim.SGD(architecture.parameters(), 1.0)
        weight_optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
        settings = SearchConfig(space="s2", cells=1, estimator=name).resolved()
        shard = ranks.rank, ranks.count
        train, val = (Stream(data, indices, 16, seed, 1, 3, torch.device("cpu"), shard=shard) for seed in (0, 1))
        average = ranks.averaged(gradient)
        for _, batch, other in zip(range(2), train.batches(0), val.batches(0), strict=False):
            call = call_settings(settings, weight_optimizer)
            alpha_step(network, architecture, alpha_optimizer, batch, other, name, call, gradient=average)
            weight_step(network, architecture, weight_optimizer, batch, 5.0, gradient=average)
        for part, module in (("alpha", architecture), ("w", network)):
            results[f"{name} {part}"] = torch.cat([p.detach().reshape(-1) for p in module.parameters()])
    return results


def disagree(ranks: Ranks, out: Path) -> list[str]:
    """What saving says in this process once rank 1 holds another α, then another weight."""
    state = SearchState(
        SearchConfig(space="s2", cells=1, channels=2, out=str(out)).resolved(), load_data(CONFIG), ranks
    )
    ranks.by_first(lambda: out.mkdir())
    starts = torch.stack([p.detach().double().sum() for p in state.network.parameters()])
    ranks.check_equal("sums", [starts])
    state.save()
    told = []
    for parameters in (state.architecture.parameters(), state.network.parameters()):
        first = next(iter(parameters))
        with torch.no_grad():
            kept = first.clone()
            if not ranks.first:
                first.view(-1)[0] += 1e-7
        try:
            state.save()
        except RunError as error:
            told.append(str(error))
        with torch.no_grad():
            first.copy_(kept)
    state.save()
    return told


CONFIG = SearchConfig()


def run(rank: int, count: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=count)
    try:
        with joined_ranks("cpu") as ranks:
            assert (ranks.rank, ranks.count) == (rank, count)
            assert ranks.gather(rank) == [0, 1]
            assert ranks.any(rank == 1)
            assert not ranks.any(False)
            told = disagree(ranks, Path(folder) / "run")
            torch.save({"steps": steps(ranks), "told": told}, os.path.join(folder, f"{rank}.pt"))
    finally:
        dist.destroy_process_group()

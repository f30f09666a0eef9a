"""Two processes whose ``gradient`` averages over ranks get the α gradient of one process on the whole batch."""

from __future__ import annotations

import datetime
import multiprocessing
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from amended_darts.hypergradient import gradient
from amended_darts.ranks import Ranks
from torch.nn.parallel import DistributedDataParallel

from .problems import arguments, bilevel, flat, relative
from .test_every_estimator import ESTIMATORS, EXACT_PRODUCTS

ALL = {**ESTIMATORS, **EXACT_PRODUCTS}


def estimate_on_a_rank(rank: int, ranks: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"file://{folder}/store", rank=rank, world_size=ranks, timeout=datetime.timedelta(seconds=60)
    )
    try:
        shards = bilevel(part=(rank, ranks))
        assert DistributedDataParallel(shards.network).module is shards.network  # its hooks must not interfere
        averaged = Ranks(rank, ranks).averaged(gradient)
        results = {name: flat(estimator(*arguments(shards), gradient=averaged)) for name, estimator in ALL.items()}
        torch.save(results, f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


def test_ranks_that_average_agree_with_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A spawned process takes over sys.path and imports this module by its name, which starts at the repository's root.
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[2])])
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=estimate_on_a_rank, args=(rank, 2, str(tmp_path))) for rank in range(2)]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join(90)
            assert process.exitcode == 0
    finally:
        for process in processes:
            process.kill()
    zero, one = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    whole = bilevel()
    for name, estimator in ALL.items():
        assert torch.equal(zero[name], one[name]), name
        assert relative(zero[name], flat(estimator(*arguments(whole)))) < 1e-6, name

"""The backends are interchangeable: a whole super-network gives the same loss and gradients on either."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from . import emulator

pytestmark = emulator.needed

PROGRAM = """
import sys
import torch
from amended_darts.spaces import find_space
from amended_darts.supernet import SuperNet
from tests.cuda_on_cpu import emulator
if emulator.library_path() is not None:
    emulator.load()
torch.manual_seed(0)
torch.set_default_dtype(getattr(torch, sys.argv[4]))
torch.set_num_threads(1)
space = find_space(sys.argv[1])
network = SuperNet(space, classes=3, in_channels=3, cells=int(sys.argv[2]), channels=4)
x, target = torch.randn(3, 3, 8, 8), torch.tensor([0, 1, 2])
weights = [torch.randn(len(g.candidates), max(map(len, g.candidates))).softmax(-1).requires_grad_(True)
           for g in space.groups(int(sys.argv[2]))]
loss = torch.nn.functional.cross_entropy(network(x, weights), target)
gradients = torch.autograd.grad(loss, [*network.parameters(), *weights], materialize_grads=True, allow_unused=True)
statistics = [b for b in network.buffers() if b.is_floating_point()]
torch.save([loss.detach(), *gradients, *statistics], sys.argv[3])
"""


def results(space: str, cells: int, dtype: str, path: Path, library: str | None) -> list[torch.Tensor]:
    root = Path(__file__).parents[2]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    env.pop(emulator.VARIABLE, None)
    if library is not None:
        env[emulator.VARIABLE] = library
    env["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [env.get("PYTHONPATH")])])
    subprocess.run(
        [sys.executable, "-c", PROGRAM, space, str(cells), str(path), dtype], check=True, env=env, cwd=path.parent
    )
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize(("space", "cells"), [("darts", 3), ("s2", 3), ("nasbench201", 3)])
def test_loss_gradients_and_statistics(space: str, cells: int, tmp_path: Path) -> None:
    """In float64, where no inner ReLU is decided by rounding."""
    library = str(emulator.library_path())
    cpu = results(space, cells, "float64", tmp_path / "cpu.pt", None)
    cuda = results(space, cells, "float64", tmp_path / "cuda.pt", library)
    scale = max(t.norm() for t in cpu)
    for a, b in zip(cuda, cpu, strict=True):
        assert (a - b).norm() <= 1e-9 * (b.norm() + 1e-2 * scale)


def test_float32_loss(tmp_path: Path) -> None:
    """To what a few inner ReLUs on the other side of zero make of it: BN sees as little as 12 numbers here."""
    library = str(emulator.library_path())
    cpu = results("darts", 3, "float32", tmp_path / "cpu.pt", None)
    cuda = results("darts", 3, "float32", tmp_path / "cuda.pt", library)
    torch.testing.assert_close(cuda[0], cpu[0], rtol=5e-3, atol=0)

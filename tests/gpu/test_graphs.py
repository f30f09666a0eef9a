"""--cuda-graph by CUDA itself: replays of captured steps against the steps, bit for bit.

Where CPU tensors go through the emulated kernels the same bodies run on tests/recorded_graph.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from amended_darts import search_loop, search_steps
from amended_darts.callbacks import Callback
from amended_darts.config import SearchConfig
from amended_darts.errors import RunError
from amended_darts.graphs import StepGraphs
from torch import Tensor

from ..captured_steps import Steps, make_batch, make_steps
from ..capturing import capture_on_cpu
from ..search.soak import results, same
from .test_cuda import no_synchronisation

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _repeatable(gpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN's own kernels too give the same bits each time."""
    if gpu == "cpu":
        capture_on_cpu(monkeypatch)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


def graphs_of(steps: Steps, gpu: str, warm_up: int) -> StepGraphs:
    return StepGraphs(steps.owned, torch.device(gpu), warm_up)


def run(steps: Steps, graphs: StepGraphs, gpu: str, counts: list[int]) -> list[dict[str, Tensor]]:
    """What as many α and w steps measure, each with batches of its own."""
    measured = []
    for step, count in enumerate(counts):
        train, val = (make_batch(2 * step + which, gpu, count) for which in (0, 1))
        measured.append(graphs("α", steps.alpha, (train, val)) | graphs("w", steps.weight, (train,)))
    return measured


def test_replays_give_the_bits_of_the_steps(gpu: str) -> None:
    """A batch of another size among them."""
    counts = [2, 2, 2, 3, 2]
    replayed, plain = make_steps(gpu), make_steps(gpu)
    graphs = graphs_of(replayed, gpu, 1)
    for got, want in zip(
        run(replayed, graphs, gpu, counts), run(plain, graphs_of(plain, gpu, 100), gpu, counts), strict=True
    ):
        assert all(torch.equal(got[name], want[name]) for name in want)
    assert graphs.captures == 2
    assert all(map(torch.equal, replayed.owned(), plain.owned()))


def test_a_replay_waits_for_nothing(gpu: str) -> None:
    if gpu == "cpu":
        pytest.skip("nothing waits there")
    steps = make_steps(gpu)
    graphs = graphs_of(steps, gpu, 1)
    run(steps, graphs, gpu, [2] * 3)
    train, val = make_batch(6, gpu), make_batch(7, gpu)
    with no_synchronisation(gpu):
        graphs("α", steps.alpha, (train, val))
        graphs("w", steps.weight, (train,))
    assert graphs.captures == 2


class StopsAt(Callback):
    """Ends a search in the middle of an epoch, after the checkpoint of that step."""

    def on_step(self, state, measured):
        if state.total_step == 8:
            state.save()
            raise KeyboardInterrupt


def test_a_search_resumes_to_the_same_bits(gpu: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if gpu == "cpu":
        pytest.skip("tests/search/test_graphs.py has it")
    monkeypatch.setattr(search_loop, "_draw", lambda *_: None)

    def config(out: str, resume: bool = False) -> SearchConfig:
        return SearchConfig(
            space="s2", cells=1, channels=4, epochs=2, out=str(tmp_path / out), cuda_graph=True, resume=resume
        )

    search_loop.search(config("whole"))
    with pytest.raises(KeyboardInterrupt):
        search_loop.search(config("resumed"), callbacks=[StopsAt()])
    search_loop.search(config("resumed", resume=True))
    assert same(results(tmp_path / "resumed"), results(tmp_path / "whole"))


def test_reading_back_is_refused(gpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if gpu == "cpu":
        pytest.skip("tests/search/test_graphs.py has it")
    accuracy = search_steps.accuracy
    monkeypatch.setattr(search_steps, "accuracy", lambda *given: accuracy(*given) * (accuracy(*given).item() >= 0))
    steps = make_steps(gpu)
    with pytest.raises((RunError, RuntimeError)):
        run(steps, graphs_of(steps, gpu, 1), gpu, [2] * 3)

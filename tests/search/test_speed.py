"""What makes a search faster or smaller changes it by nothing, or by what it says: parts of batches, autocast,
compilation, batches made ahead, branch outputs kept or computed again."""

from __future__ import annotations

import functools
import json
import threading
from pathlib import Path

import pytest
import torch
from amended_darts import InputError, RunError, estimators, heap, memory, search_loop
from amended_darts.accumulation import Parts
from amended_darts.architecture import Architecture
from amended_darts.checkpoint import load_checkpoint
from amended_darts.config import SearchConfig
from amended_darts.data.prefetch import Prefetched
from amended_darts.precision import Precision
from amended_darts.search_loop import search
from amended_darts.search_steps import alpha_step, weight_step
from amended_darts.spaces import find_space
from amended_darts.supernet import SuperNet
from torch import nn

from .soak import results, same

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    monkeypatch.setattr(search_loop, "_draw", lambda *arguments: None)


class Smooth(nn.Module):
    """Without batch normalisation: there the loss of a batch is the mean of the losses of its parts."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.out = nn.Linear(4, 5), nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x, weights):
        mixed = weights[0].mean(0)
        return self.out(torch.tanh(mixed[0] * self.one(x) + mixed[1] * self.two(x)))


@pytest.fixture
def smooth():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    network, architecture = Smooth(), Architecture(find_space("s2"), 1)
    batches = [(torch.randn(7, 4), torch.arange(7) % 3) for _ in range(2)]
    torch.set_default_dtype(torch.float32)
    return network, architecture.double(), batches


def moved(smooth, estimator, parts):
    """What both steps measure and where they lead, from the same start."""
    network, architecture, (train, val) = smooth
    start = [value.clone() for value in (*network.parameters(), *architecture.parameters())]
    weight_optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=3e-4)
    config = SearchConfig(estimator=estimator).resolved()
    measured = alpha_step(
        network,
        architecture,
        torch.optim.SGD(architecture.parameters(), 1.0),
        train,
        val,
        estimator,
        estimators.call_settings(config, weight_optimizer),
        parts=parts,
    )
    measured |= weight_step(network, architecture, weight_optimizer, train, 5.0, parts=parts)
    after = [value.detach().clone() for value in (*network.parameters(), *architecture.parameters())]
    with torch.no_grad():
        for value, before in zip((*network.parameters(), *architecture.parameters()), start, strict=True):
            value.copy_(before)
    return measured, after


@pytest.mark.parametrize("estimator", estimators.ESTIMATORS)
def test_parts_add_up_to_the_whole(smooth, estimator):
    """For every estimator, with parts of 3, 2 and 2 images."""
    whole, in_parts = (moved(smooth, estimator, Parts(count)) for count in (1, 3))
    torch.testing.assert_close(in_parts[0], whole[0], rtol=1e-6, atol=1e-9, check_dtype=False)
    torch.testing.assert_close(in_parts[1], whole[1], rtol=1e-6, atol=1e-9)


def test_parts_start_over_after_an_error():
    parts = Parts(3)

    def failing():
        if parts.turn == 1:
            raise ZeroDivisionError
        return torch.ones((), requires_grad=True)

    with pytest.raises(ZeroDivisionError):
        parts(failing, [torch.ones((), requires_grad=True)])
    assert parts.turn == 0


def test_a_search_in_parts(tiny):
    result = search(tiny(epochs=1, accumulate=4))
    assert result.history[0]["heldout_accuracy"] > 0
    with pytest.raises(InputError, match=r"--accumulate: expected at most 32 parts of 64 images .*, got 33"):
        search(tiny(accumulate=33, overwrite=True))


@pytest.fixture
def parts():
    torch.manual_seed(0)
    network = SuperNet(find_space("s2"), 3, 1, cells=1, channels=2)
    batches = [(torch.randn(6, 1, 8, 8), torch.arange(6) % 3) for _ in range(2)]
    return network, Architecture(find_space("s2"), 1), batches


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_autocast_is_for_weight_steps(parts, amp):
    """They come out a little different from float32's, in float32 weights."""
    network, architecture, (train, _) = parts
    start = {name: value.clone() for name, value in network.state_dict().items()}
    slopes = []
    for name in ("off", amp):
        network.load_state_dict(start)
        optimizer = torch.optim.SGD(network.parameters(), 1.0)
        measured = weight_step(network, architecture, optimizer, train, 1e9, precision=Precision(name, CPU))
        assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
        slopes.append(torch.cat([(start[n] - p.detach()).flatten() for n, p in network.named_parameters()]))
        assert float(measured["gradient_norm"]) == pytest.approx(float(slopes[-1].norm()), rel=1e-3)
    assert not torch.equal(*slopes)
    assert torch.cosine_similarity(*slopes, dim=0) > 0.99


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_alpha_steps_stay_in_float32(tiny, tmp_path, amp):
    """With w at rest, what α does is the same bit for bit."""
    still = {"epochs": 1, "lr": 1e-30, "lr_min": 0.0, "weight_decay": 0.0}
    plain = search(tiny(**still))
    cast = search(tiny(**still, amp=amp, out=str(tmp_path / "cast")))
    assert torch.equal(torch.cat(plain.alpha), torch.cat(cast.alpha))
    assert plain.history[0]["train_loss"] != cast.history[0]["train_loss"]


def test_float16_leaves_out_steps_that_overflow():
    weight = nn.Parameter(torch.ones(3))
    optimizer, precision = torch.optim.SGD([weight], 1.0), Precision("fp16", CPU)

    def overflow():
        precision.scale(torch.ones(()))
        weight.grad = torch.full((3,), torch.inf)
        return precision.step(optimizer, [weight], 5.0)

    assert overflow() == 0
    assert torch.equal(weight.detach(), torch.ones(3))
    assert precision.scaler.get_scale() == 2**15
    for _ in range(29):
        overflow()
    with pytest.raises(FloatingPointError, match="not finite in float16 at any scale"):
        overflow()


def test_float16_resumes_to_the_same_bits(tiny, tmp_path):
    """The scale of the loss and its history belong to the state."""
    whole = search(tiny(amp="fp16", out=str(tmp_path / "whole")))

    def stop(line):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        search(tiny(amp="fp16"), stop)
    state = load_checkpoint(Path(tiny().out) / "checkpoint.pt")
    assert state["precision"]["_growth_tracker"] == 11
    search(tiny(amp="fp16", resume=True))
    assert same(results(Path(tiny().out)), results(whole.out))


def test_compiled_search(tiny, tmp_path, monkeypatch):
    """Traced whole, for every kind of pass, without one falling back to Python; the plain backend computes the same."""
    torch.compiler.reset()
    monkeypatch.setattr(torch._dynamo.config, "fail_on_recompile_limit_hit", True)
    compiling = functools.partial(torch.compile, backend="aot_eager", fullgraph=True)
    monkeypatch.setattr(torch, "compile", compiling)
    plain = search(tiny(epochs=1))
    compiled = search(tiny(epochs=1, compile=True, out=str(tmp_path / "compiled")))
    torch.testing.assert_close(compiled.alpha, plain.alpha, rtol=0, atol=1e-3)
    assert search(tiny(epochs=1, resume=True, out=str(tmp_path / "compiled"))).alpha  # and resumes without


def test_batches_made_ahead_are_the_same():
    assert list(Prefetched(iter(range(10)))) == list(range(10))

    def failing():
        yield 1
        raise InputError("the second")

    batches = Prefetched(failing())
    assert next(batches) == 1
    with pytest.raises(InputError, match="the second"):
        next(batches)


def test_the_thread_ends_with_the_search(tiny, monkeypatch):
    before = threading.active_count()
    search(tiny(epochs=1, estimator="first_order"))
    assert threading.active_count() == before
    endless = Prefetched(iter(int, 1))
    next(endless)
    endless.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("free", [2**40, 2**10])
def test_recompute_follows_the_memory_that_is_free(tiny, tmp_path, monkeypatch, free):
    """And changes no bit."""
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    chosen = search(tiny(epochs=1))
    choice = {2**40: "never", 2**10: "always"}[free]
    assert json.loads((chosen.out / "config.json").read_text())["recompute"] == choice
    always = search(tiny(epochs=1, recompute="always", out=str(tmp_path / "always")))
    assert torch.equal(torch.cat(chosen.alpha), torch.cat(always.alpha))
    assert same(results(chosen.out), results(always.out))


@pytest.mark.parametrize("recompute", [True, False])
@pytest.mark.parametrize("name", ["darts8", "s2", "robust-s4", "nasbench201"])
def test_the_estimate_of_kept_bytes_is_what_autograd_keeps(name, recompute):
    space = find_space(name)
    network = SuperNet(space, 10, 3, cells=3, channels=5, recompute=recompute)
    weights = [group.detach() for group in Architecture(space, 3).weights()]
    state = torch.get_rng_state()
    estimate = memory.supernet_bytes(space, 10, (4, 3, 13, 9), CPU, 3, 5, recompute)
    assert torch.equal(torch.get_rng_state(), state)
    assert estimate == memory.saved_bytes(network, torch.randn(4, 3, 13, 9), weights)


def test_kept_bytes_are_counted_once_and_without_parameters():
    network = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    x = torch.randn(7, 3)
    assert memory.saved_bytes(network, x) == 4 * (7 * 3 + 7 * 5)  # x; what tanh gives, for itself and the layer after


def test_free_memory_is_there():
    assert 2**20 < memory.free_bytes(CPU) < 2**50
    assert memory.size(3 * 2**29) == "1.50 GiB"
    assert memory.size(3 * 2**19) == "1.5 MiB"


def test_a_loss_scale_at_its_end_ends_the_run(tiny, monkeypatch):
    def overflowing(*arguments):
        raise FloatingPointError("the gradient of w is not finite in float16 at any scale of the loss")

    monkeypatch.setattr(Precision, "step", overflowing)
    with pytest.raises(RunError, match=r"at any scale of the loss, at epoch 1 of 2, step 1 of 11; .* last good state"):
        search(tiny(amp="fp16"))


def test_heap_is_given_back():
    """Holes between blocks that live on."""
    blocks = [torch.ones(20_000) for _ in range(2000)]  # 80 kB each: from the heap, not mapped one by one
    held = blocks[::2]
    del blocks
    before = heap.resident()
    heap.give_back_heap()
    assert heap.resident() < before - 40 * 2**20
    assert len(held) == 1000


def test_a_heap_that_grows_is_given_back(monkeypatch):
    """Once it is half as large again, and 128 MiB, as after the first step; then a step shows what is usual now."""
    sizes = iter([1000, 1200, 1627, 1629, 900, 1400, 1500])
    given = []
    monkeypatch.setattr(heap, "resident", lambda: next(sizes) * 2**20)
    monkeypatch.setattr(heap, "give_back_heap", lambda: given.append(True))
    growing, counts = heap.GrowingHeap(), []
    for _ in range(7):
        growing.after_step()
        counts.append(len(given))
    assert counts == [0, 0, 0, 1, 1, 1, 2]

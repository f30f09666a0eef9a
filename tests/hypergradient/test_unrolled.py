"""``unrolled`` is g1(w') − lr·A(w)·v(w') with w' the step that torch.optim.SGD takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from amended_darts.hypergradient import unrolled
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from .problems import Bilevel, arguments, bilevel, derivatives, flat, models, relative


def closed_form(problem: Bilevel, optimizer: torch.optim.SGD) -> Tensor:
    """With ``optimizer`` itself taking the step; weights as they were afterwards."""
    lr = optimizer.param_groups[0]["lr"]
    A = derivatives(problem)[3]
    before = [w.detach().clone() for w in problem.weights]
    for w, grad in zip(problem.weights, torch.autograd.grad(problem.train_loss(), problem.weights), strict=True):
        w.grad = grad
    optimizer.step()
    optimizer.zero_grad()
    g1 = flat(list(torch.autograd.grad(problem.val_loss(), problem.alphas)))
    v = flat(list(torch.autograd.grad(problem.val_loss(), problem.weights)))
    with torch.no_grad():
        for w, value in zip(problem.weights, before, strict=True):
            w.copy_(value)
    return g1 - lr * A @ v


PLAIN = {"seed": 0, "norm": False, "embedding": False, "conv": False}


@example(PLAIN, 0.5, 0.9, 0.3, True)
@example(PLAIN, 0.5, 0.9, 0.3, False)
@settings(max_examples=6)
@given(models, st.sampled_from([0.01, 0.5]), st.sampled_from([0.0, 0.9]), st.sampled_from([0.0, 0.3]), st.booleans())
def test_it_is_its_formula(
    model: dict[str, Any], lr: float, momentum: float, weight_decay: float, started: bool
) -> None:
    """At the optimizer's first step, and with momentum buffers that some steps have filled."""
    problem = bilevel(**model)
    optimizer = torch.optim.SGD(problem.weights, lr=lr, momentum=momentum, weight_decay=weight_decay)
    for _ in range(2 if started else 0):
        problem.train_loss().backward()
        optimizer.step()
        optimizer.zero_grad()
        for alpha in problem.alphas:
            alpha.grad = None
    buffers = [optimizer.state[w].get("momentum_buffer") for w in problem.weights]
    buffers = [None if buffer is None else buffer.clone() for buffer in buffers]
    options: Any = {"lr": lr, "momentum_buffers": buffers, "momentum": momentum, "weight_decay": weight_decay}
    want = closed_form(problem, optimizer)
    assert relative(flat(unrolled(*arguments(problem), **options, hvp="exact")), want) < 1e-8
    assert relative(flat(unrolled(*arguments(problem), **options, radius=1e-5)), want) < 1e-4


def test_without_a_learning_rate_it_is_first_order() -> None:
    problem = bilevel()
    assert relative(flat(unrolled(*arguments(problem), lr=0.0)), derivatives(problem)[0]) < 1e-12


def test_four_passes_and_what_each_asks_for() -> None:
    """One training pass for the step, one validation pass at w', two training passes without the weights' gradients."""
    problem = bilevel()
    log: list[tuple[str, bool, bool]] = []

    def logged(name: str, loss: Any) -> Any:
        def run() -> Tensor:
            log.append((name, problem.weights[0].requires_grad, problem.alphas[0].requires_grad))
            return loss()

        return run

    losses = logged("train", problem.train_loss), logged("val", problem.val_loss)
    unrolled(*losses, problem.weights, problem.alphas, lr=0.1)
    assert log == [("train", True, False), ("val", True, True), ("train", False, True), ("train", False, True)]


def test_buffers_that_do_not_fit_are_named() -> None:
    problem = bilevel()
    with pytest.raises(ValueError, match="momentum_buffers must hold one entry for each of 8 weights, got 1"):
        unrolled(*arguments(problem), lr=0.1, momentum=0.9, momentum_buffers=[None])
    wrong: list[Tensor | None] = [torch.zeros(2), *[None] * 7]
    with pytest.raises(ValueError, match=r"momentum_buffers\[0\] must have its weight's shape \[5, 6\], got \[2\]"):
        unrolled(*arguments(problem), lr=0.1, momentum=0.9, momentum_buffers=wrong)
    with pytest.raises(ValueError, match="lr must be finite and not negative, got -1"):
        unrolled(*arguments(problem), lr=-1)

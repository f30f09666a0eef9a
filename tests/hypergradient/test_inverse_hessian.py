"""unrolled, neumann and conjugate_gradient agree with their closed forms by double backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from amended_darts.hypergradient import amended, conjugate_gradient, exact, first_order, neumann, unrolled
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from .problems import Bilevel, bilevel, derivatives, flat, relative
from .test_estimators import arguments, assert_same_state, models, state

ways = st.sampled_from([("exact", 1e-9), ("finite", 1e-4)])


def shrink(problem: Bilevel) -> None:
    """Smaller weights, so that a damping of 1 makes H + damping positive definite."""
    with torch.no_grad():
        for w in problem.weights:
            w.mul_(0.5)


@settings(max_examples=10)
@given(models, ways, st.sampled_from([0.0, 0.9]), st.sampled_from([0.0, 0.1]))
def test_unrolled_is_the_gradient_through_one_step(
    model: dict[str, Any], way: tuple[str, float], momentum: float, weight_decay: float
) -> None:
    """The truth differentiates L_val(w − ξ(μ buf + ∂L_train/∂w + λw), α) with respect to α by double backward."""
    problem = bilevel(**model)
    lr, (hvp, tolerance) = 0.3, way
    buffers = [torch.randn_like(w) for w in problem.weights]
    slope = torch.autograd.grad(problem.train_loss(), problem.weights, create_graph=True)
    steps = [g + momentum * b + weight_decay * w for g, b, w in zip(slope, buffers, problem.weights, strict=True)]
    moved = {
        name: p - lr * steps[[id(w) for w in problem.weights].index(id(p))]
        for name, p in problem.network.named_parameters()
        if any(p is w for w in problem.weights)
    }
    loss = torch.func.functional_call(Val(problem), {f"network.{k}": v for k, v in moved.items()}, ())
    want = flat(list(torch.autograd.grad(loss, problem.alphas)))
    before = state(problem)
    got = unrolled(
        *arguments(problem),
        lr=lr,
        momentum=momentum,
        momentum_buffers=buffers,
        weight_decay=weight_decay,
        radius=1e-4,
        hvp=hvp,
    )
    assert relative(flat(got), want) < tolerance
    assert_same_state(before, problem)


class Val(nn.Module):
    """The validation loss as a module, for functional_call."""

    def __init__(self, problem: Bilevel) -> None:
        super().__init__()
        self.network, self.loss = problem.network, problem.val_loss

    def forward(self) -> Tensor:
        return self.loss()


@settings(max_examples=10)
@given(models, ways, st.integers(0, 3))
def test_neumann_is_its_series(model: dict[str, Any], way: tuple[str, float], terms: int) -> None:
    problem = bilevel(**model)
    g1, v, H, A = derivatives(problem)
    lr, shift, (hvp, tolerance) = 0.2, 0.7, way
    matrix = H + shift * torch.eye(len(v), dtype=v.dtype)
    total = term = v
    for _ in range(terms):
        term = term - lr * matrix @ term
        total = total + term
    want = g1 - lr * A @ total
    got = neumann(*arguments(problem), lr=lr, terms=terms, damping=0.5, weight_decay=0.2, radius=1e-4, hvp=hvp)
    assert relative(flat(got), want) < tolerance


@settings(max_examples=10)
@given(models)
def test_conjugate_gradient_converges_to_the_exact_gradient(model: dict[str, Any]) -> None:
    problem = bilevel(**model)
    report: dict[str, Any] = {}
    damping = 1.0 - torch.linalg.eigvalsh(derivatives(problem)[2]).min().item()
    want = flat(exact(*arguments(problem), damping=damping))
    got = flat(conjugate_gradient(*arguments(problem), iterations=60, damping=damping, hvp="exact", report=report))
    assert relative(got, want) < 1e-5
    assert report["residual"] < 1e-5
    assert not report["negative_curvature"]
    finite = flat(conjugate_gradient(*arguments(problem), iterations=8, damping=damping, radius=1e-4))
    double = flat(conjugate_gradient(*arguments(problem), iterations=8, damping=damping, hvp="exact"))
    assert relative(finite, double) < 1e-4


def test_neumann_converges_to_the_exact_gradient() -> None:
    problem = bilevel()
    shrink(problem)
    want = flat(exact(*arguments(problem), damping=2.0))
    errors = [
        relative(flat(neumann(*arguments(problem), lr=0.3, terms=k, damping=2.0, hvp="exact")), want)
        for k in (0, 5, 40)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-5


def quadratic(H: Tensor, A: Tensor, v: Tensor) -> Bilevel:
    """L_train = wᵀHw/2 + αᵀAw, L_val = vᵀw at w = 0."""
    w, alpha = nn.Parameter(torch.zeros_like(v)), nn.Parameter(torch.ones(len(A), dtype=v.dtype))
    module = nn.Module()
    return Bilevel(lambda: w @ H @ w / 2 + alpha @ A @ w, lambda: v @ w, [w], [alpha], module)


def test_negative_curvature_stops_conjugate_gradients_and_is_told() -> None:
    """Along the first direction: x stays zero. Later: the steps before it count."""
    A, v = torch.eye(2, dtype=torch.float64), torch.tensor([1.0, 1.0], dtype=torch.float64)
    report: dict[str, Any] = {}
    bad = quadratic(torch.diag(torch.tensor([-1.0, -2.0], dtype=torch.float64)), A, v)
    assert flat(conjugate_gradient(*arguments(bad), iterations=3, report=report)).abs().sum() == 0
    assert bool(report["negative_curvature"])
    assert report["steps"] == 0
    assert report["curvature"].item() == pytest.approx(-1.5, rel=1e-6)
    mixed = quadratic(torch.diag(torch.tensor([5.0, -1.0], dtype=torch.float64)), A, v)
    got = flat(conjugate_gradient(*arguments(mixed), iterations=5, report=report))
    torch.testing.assert_close(got, -v * (2 / 4))  # one step along v: vᵀv / vᵀHv = 2 / 4
    assert bool(report["negative_curvature"])
    assert report["steps"] == 1


def test_the_angle_to_the_exact_gradient_can_exceed_a_right_one() -> None:
    """H = diag(1, 10), A = [1 1], v = (1, −0.5): ⟨A H v, A H⁻¹ v⟩ = −3.8, so that no general bound may be claimed."""
    H = torch.diag(torch.tensor([1.0, 10.0], dtype=torch.float64))
    A = torch.ones(1, 2, dtype=torch.float64)
    problem = quadratic(H, A, torch.tensor([1.0, -0.5], dtype=torch.float64))
    product = flat(amended(*arguments(problem), eta=1.0, hvp="exact")) @ flat(exact(*arguments(problem)))
    assert product.item() == pytest.approx(-3.8)


ESTIMATORS: dict[str, tuple[Callable[..., list[Tensor]], dict[str, Any], int]] = {
    "first_order": (first_order, {}, 1),
    "unrolled": (unrolled, {"lr": 0.1}, 4),
    "amended": (amended, {"rho": 1.0}, 5),
    "neumann": (neumann, {"lr": 0.1, "terms": 2}, 7),
    "conjugate_gradient": (conjugate_gradient, {"iterations": 2, "damping": 1.0}, 7),
}


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_passes_are_those_of_the_docstring(name: str) -> None:
    estimator, options, passes = ESTIMATORS[name]
    problem = bilevel()
    count = [0, 0]

    def counted(i: int, loss: Callable[[], Tensor]) -> Callable[[], Tensor]:
        def run() -> Tensor:
            count[i] += 1
            return loss()

        return run

    estimator(counted(0, problem.train_loss), counted(1, problem.val_loss), problem.weights, problem.alphas, **options)
    assert sum(count) == passes
    assert count[1] == 1


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_nothing_is_left_behind_when_the_last_pass_raises(name: str) -> None:
    estimator, options, passes = ESTIMATORS[name]
    problem = bilevel(norm=True)
    before = state(problem)
    left = iter(range(passes - 1))

    def failing(loss: Callable[[], Tensor]) -> Callable[[], Tensor]:
        def run() -> Tensor:
            if next(left, None) is None:
                raise ArithmeticError("planted")
            return loss()

        return run

    with pytest.raises(ArithmeticError, match="planted"):
        estimator(failing(problem.train_loss), failing(problem.val_loss), problem.weights, problem.alphas, **options)
    assert_same_state(before, problem)


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_compiled_losses_give_the_same(name: str) -> None:
    estimator, options, _ = ESTIMATORS[name]
    problem = bilevel(norm=True)
    plain = flat(estimator(*arguments(problem), **options))
    torch._dynamo.reset()
    compiled = torch.compile(problem.network, backend="aot_eager")
    losses = [
        lambda loss=loss: _with_network(problem, compiled, loss)  # type: ignore[misc]
        for loss in (problem.train_loss, problem.val_loss)
    ]
    assert relative(flat(estimator(*losses, problem.weights, problem.alphas, **options)), plain) < 1e-6


def _with_network(problem: Bilevel, compiled: Any, loss: Callable[[], Tensor]) -> Tensor:
    eager, problem.network.forward = problem.network.forward, compiled._orig_mod.forward
    try:
        return loss()
    finally:
        problem.network.forward = eager


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_frozen_parameters_outside_of_weights_stay_frozen(name: str) -> None:
    estimator, options, _ = ESTIMATORS[name]
    problem = bilevel()
    frozen, rest = problem.weights[0], problem.weights[1:]
    frozen.requires_grad_(False)
    got = estimator(problem.train_loss, problem.val_loss, rest, problem.alphas, **options)
    assert all(g.isfinite().all() for g in got)
    assert frozen.grad is None
    assert not frozen.requires_grad


@pytest.mark.parametrize(
    ("estimator", "options", "sentence"),
    [
        (unrolled, {"lr": 0.0}, "lr must be positive, got 0.0"),
        (unrolled, {"lr": 0.1, "momentum_buffers": []}, "momentum_buffers must hold 8 entries as weights, got 0"),
        (neumann, {"lr": 0.1, "terms": -1}, "terms must be 0 or more, got -1"),
        (neumann, {"lr": -1.0}, "lr must be positive"),
        (conjugate_gradient, {"iterations": 0}, "iterations must be at least 1, got 0"),
        (conjugate_gradient, {"hvp": "forward"}, "hvp must be 'finite' or 'exact'"),
    ],
)
def test_settings_that_do_not_fit_are_named(estimator: Any, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        estimator(*arguments(bilevel()), **options)

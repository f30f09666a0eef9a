"""First order, amended and exact agree with their closed forms by double backward, and leave nothing behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from amended_darts.hypergradient import _problem, amended, exact, first_order, frozen_buffers, gradient
from amended_darts.hypergradient._problem import Problem
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from .problems import arguments, assert_same_state, bilevel, derivatives, flat, models, relative, state


@settings(max_examples=15)
@given(models)
def test_first_order_is_the_partial_derivative(model: dict[str, Any]) -> None:
    problem = bilevel(**model)
    g1 = torch.autograd.grad(problem.val_loss(), problem.alphas)
    assert relative(flat(first_order(*arguments(problem))), flat(list(g1))) < 1e-12


@settings(max_examples=15)
@given(models, st.sampled_from([0.001, 0.1, 1.0]))
def test_amended_is_its_formula(model: dict[str, Any], eta: float) -> None:
    """And its building blocks: u = H v and q = A u, at radius 1e-4, to 1e-4."""
    problem = bilevel(**model)
    g1, v, H, A = derivatives(problem)
    with Problem(*arguments(problem), gradient) as inside:
        vector = inside.val_gradients()[1]
        u = inside.hessian_vector(vector, 1e-4, "v")
        q = inside.mixed_vector(u, 1e-4, "u")
        exact_u = inside.exact_hessian_vector(vector)
    assert relative(flat(vector), v) < 1e-12
    assert relative(flat(u), H @ v) < 1e-4
    assert relative(flat(q), A @ (H @ v)) < 1e-4
    assert relative(flat(exact_u), H @ v) < 1e-10
    want = g1 - eta * A @ (H @ v)
    assert relative(flat(amended(*arguments(problem), eta=eta, radius=1e-5)), want) < 1e-4
    assert relative(flat(amended(*arguments(problem), eta=eta, hvp="exact")), want) < 1e-10


@settings(max_examples=10)
@given(models, st.sampled_from([0.0, 0.3]))
def test_exact_is_the_implicit_function_theorem(model: dict[str, Any], damping: float) -> None:
    problem = bilevel(**model)
    with torch.no_grad():
        for w in problem.weights:
            w.mul_(0.5)
    g1, v, H, A = derivatives(problem)
    eye = torch.eye(len(v), dtype=v.dtype)
    report: dict[str, Any] = {}
    got = exact(*arguments(problem), damping=damping + 1.0, weight_decay=0.5, report=report)
    want = g1 - A @ torch.linalg.solve(H + (damping + 1.5) * eye, v)
    assert relative(flat(got), want) < 1e-8
    assert report["smallest_eigenvalue"].item() == pytest.approx(
        torch.linalg.eigvalsh(H).min().item() + damping + 1.5, abs=1e-8
    )


@pytest.mark.parametrize("rho", [0.5, 1.0, 2.0])
def test_relative_size(rho: float) -> None:
    """‖second‖ = ρ‖first‖ along −A H v, and the report says so."""
    problem = bilevel()
    g1, v, H, A = derivatives(problem)
    report: dict[str, Any] = {}
    second = flat(amended(*arguments(problem), rho=rho, radius=1e-4, report=report)) - g1
    assert second.norm() / g1.norm() == pytest.approx(rho, rel=1e-6)
    direction = -A @ (H @ v)
    assert torch.dot(second, direction) / second.norm() / direction.norm() == pytest.approx(1, abs=1e-6)
    assert report["ratio"].item() == pytest.approx(rho)
    assert report["first_norm"].item() == pytest.approx(g1.norm().item())
    assert report["second_norm"].item() == pytest.approx(second.norm().item())
    cosine = torch.dot(g1, direction) / g1.norm() / direction.norm()
    assert report["cosine"].item() == pytest.approx(cosine.item(), abs=1e-6)


def test_cap_bounds_the_second_term() -> None:
    problem = bilevel()
    g1 = derivatives(problem)[0]
    for eta, cap in ((100.0, 1.0), (1e-6, 1.0)):
        free = flat(amended(*arguments(problem), eta=eta)) - g1
        capped = flat(amended(*arguments(problem), eta=eta, cap=cap)) - g1
        assert capped.norm() == pytest.approx(min(free.norm().item(), cap * g1.norm().item()), rel=1e-6)


def test_a_planted_mistake_in_the_difference_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """`(p - n) / 2. * eps`, found in three public code bases: the term becomes silently zero."""
    problem = bilevel()
    g1, v, H, A = derivatives(problem)
    want = g1 - A @ (H @ v)

    def planted(plus: list[Tensor], minus: list[Tensor], step: Tensor) -> list[Tensor]:
        return [(p - m) / 2.0 * step for p, m in zip(plus, minus, strict=True)]

    monkeypatch.setattr(_problem, "central_difference", planted)
    assert relative(flat(amended(*arguments(problem), eta=1.0, radius=1e-4)), want) > 1e-2


def test_gradients_left_in_grad_fields_do_not_matter() -> None:
    problem = bilevel()
    clean = flat(amended(*arguments(problem), eta=0.1))
    for t in [*problem.weights, *problem.alphas]:
        t.grad = torch.full_like(t, 1e6)
    before = state(problem)
    assert torch.equal(flat(amended(*arguments(problem), eta=0.1)), clean)
    assert_same_state(before, problem)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fail_at", [None, 1, 2, 3, 4])
def test_weights_and_flags_come_back_bit_for_bit(dtype: torch.dtype, fail_at: int | None) -> None:
    """Also where a loss raises in the middle: pass 0 is the validation loss, 1 to 4 the training loss."""
    problem = bilevel(dtype=dtype, norm=True, dropout=0.3)
    before = state(problem)
    calls = iter(range(100))

    def counted(loss: Any) -> Any:
        def run() -> Tensor:
            if next(calls) == fail_at:
                raise ArithmeticError("planted")
            return loss()

        return run

    precision = torch.backends.cuda.matmul.fp32_precision
    given = (counted(problem.train_loss), counted(problem.val_loss), problem.weights, problem.alphas)
    if fail_at is None:
        amended(*given, eta=0.1)
    else:
        with pytest.raises(ArithmeticError, match="planted"):
            amended(*given, eta=0.1)
    assert_same_state(before, problem)
    assert torch.backends.cuda.matmul.fp32_precision == precision


def test_both_sides_of_a_difference_draw_the_same_masks() -> None:
    """With dropout the finite and the exact products agree only if every training pass draws one mask."""
    problem = bilevel(dropout=0.5)
    torch.manual_seed(3)
    finite = flat(amended(*arguments(problem), eta=1.0, radius=1e-4))
    after = torch.rand(3)
    torch.manual_seed(3)
    double = flat(amended(*arguments(problem), eta=1.0, hvp="exact"))
    assert relative(finite, double) < 1e-4
    assert torch.equal(after, torch.rand(3)), "how the generator goes on depends on the number of passes"


def test_frozen_buffers_keeps_running_statistics() -> None:
    problem = bilevel(norm=True)
    norm = problem.network.norm
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    with frozen_buffers(problem.network):
        amended(*arguments(problem), eta=0.1)
    assert all(torch.equal(before[k], v) for k, v in norm.state_dict().items())
    amended(*arguments(problem), eta=0.1)
    assert not torch.equal(before["running_mean"], norm.running_mean)


def test_frozen_buffers_keeps_them_after_an_exception() -> None:
    norm = nn.BatchNorm1d(3)

    def fails() -> None:
        with frozen_buffers(norm):
            norm.running_mean.fill_(7)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert not (norm.running_mean == 7).any()


def test_a_zero_vector_gives_a_zero_term() -> None:
    problem = bilevel()
    alphas = problem.alphas

    def val_loss() -> Tensor:
        return sum(alpha.square().sum() for alpha in alphas)  # type: ignore[return-value]

    for size in ({"eta": 1.0}, {"rho": 1.0}):
        got = amended(problem.train_loss, val_loss, problem.weights, alphas, **size)  # type: ignore[arg-type]
        assert torch.equal(flat(got), 2 * flat(alphas))


def test_a_vector_that_is_not_finite_names_its_loss() -> None:
    problem = bilevel()
    before = state(problem)
    with pytest.raises(FloatingPointError, match="validation loss's gradient of the weights is not finite"):
        amended(problem.train_loss, lambda: problem.val_loss() * float("nan"), *arguments(problem)[2:], eta=1.0)
    with pytest.raises(FloatingPointError, match="training loss's Hessian-vector product is not finite"):
        amended(lambda: problem.train_loss() * float("inf"), *arguments(problem)[1:], eta=1.0)
    assert_same_state(before, problem)


class CountedLinear(torch.autograd.Function):
    """x @ w.T that counts how often it is asked for the gradient of w."""

    count = 0

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return x @ w.T

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:
        x, w = ctx.saved_tensors
        if ctx.needs_input_grad[1]:
            CountedLinear.count += 1
        return grad @ w, grad.T @ x if ctx.needs_input_grad[1] else None


def test_passes_compute_only_what_they_ask_for() -> None:
    """Five passes: alphas with weights, twice weights alone, twice alphas alone (no weight gradient is computed)."""
    w = nn.Parameter(torch.randn(3, 4, dtype=torch.float64))
    alpha = nn.Parameter(torch.randn(3, dtype=torch.float64))
    x = torch.randn(5, 4, dtype=torch.float64)

    def loss() -> Tensor:
        return (CountedLinear.apply(x, w).tanh() * alpha.softmax(0)).square().sum()

    passes: list[tuple[list[bool], bool, int]] = []

    def watched(scalar: Any, inputs: list[Tensor]) -> list[Tensor]:
        CountedLinear.count = 0
        result = gradient(scalar, inputs)
        asked = [any(t is i for i in inputs) for t in (w, alpha)]
        passes.append((asked, alpha.requires_grad, CountedLinear.count))
        return result

    amended(loss, loss, [w], [alpha], eta=1.0, gradient=watched)
    weights_only, alphas_only = [True, False], [False, True]
    assert [p[0] for p in passes] == [[True, True], weights_only, weights_only, alphas_only, alphas_only]
    assert [p[1] for p in passes] == [True, False, False, True, True]
    assert [p[2] for p in passes] == [1, 1, 1, 0, 0]
    passes.clear()
    first_order(loss, loss, [w], [alpha], gradient=watched)
    assert passes == [(alphas_only, True, 0)]


def test_autocast_and_low_precision_products_are_off_inside() -> None:
    problem = bilevel(dtype=torch.float32)
    seen: list[Any] = []

    def loss() -> Tensor:
        seen.append((torch.is_autocast_enabled("cpu"), torch.backends.mkldnn.matmul.fp32_precision))
        return problem.train_loss()

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            amended(loss, problem.val_loss, problem.weights, problem.alphas, eta=0.1)
            assert torch.is_autocast_enabled("cpu")
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == [(False, "ieee")] * 4


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, "give either eta"),
        ({"eta": 1.0, "rho": 1.0}, "give either eta"),
        ({"eta": -1.0}, "eta must be finite and not negative, got -1.0"),
        ({"rho": float("nan")}, "rho must be finite"),
        ({"eta": 1.0, "radius": 0.0}, "radius must be positive, got 0.0"),
        ({"eta": 1.0, "hvp": "forward"}, "hvp must be 'finite' or 'exact', got 'forward'"),
    ],
)
def test_settings_that_do_not_fit_are_named(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        amended(*arguments(bilevel()), **change)


def test_lists_that_do_not_fit_are_named() -> None:
    problem = bilevel()
    train, val, weights, alphas = arguments(problem)
    with pytest.raises(ValueError, match="alphas must hold at least one tensor"):
        first_order(train, val, weights, [])
    with pytest.raises(ValueError, match=r"weights\[0\] must be a leaf tensor that requires grad"):
        first_order(train, val, [weights[0] * 2], alphas)
    with pytest.raises(ValueError, match="in both lists"):
        first_order(train, val, [*weights, alphas[0]], alphas)
    with pytest.raises(ValueError, match=r"weights\[0\] must be float32 or float64"):
        first_order(train, val, [nn.Parameter(torch.zeros(2, dtype=torch.bfloat16))], alphas)
    with pytest.raises(ValueError, match=r"a loss must return a tensor with one element, got shape \[2\]"):
        first_order(train, lambda: alphas[0] * 2, weights, alphas)

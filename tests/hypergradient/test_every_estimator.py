"""What all estimators promise alike: nothing left behind, zero vectors, compiled losses, frozen parameters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import amended_darts.hypergradient as hypergradient
import pytest
import torch
from amended_darts.hypergradient import (
    _problem,
    amended,
    conjugate_gradient,
    exact,
    first_order,
    frozen_buffers,
    gradient,
    neumann,
    two_moment,
    unrolled,
)
from torch import Tensor

from .problems import arguments, assert_same_state, bilevel, flat, relative, state

Estimator = Callable[..., list[Tensor]]

FINITE: dict[str, Estimator] = {
    "amended": partial(amended, eta=0.1),
    "conjugate_gradient": partial(conjugate_gradient, iterations=2, damping=2.0),
    "neumann": partial(neumann, terms=2, lr=0.1, damping=0.5),
    "two_moment": partial(two_moment, damping=2.0),
    "unrolled": partial(unrolled, lr=0.1, weight_decay=0.1),
}
ESTIMATORS: dict[str, Estimator] = {"first_order": first_order, "exact": partial(exact, damping=2.0), **FINITE}
EXACT_PRODUCTS = {f"{name}, exact products": partial(estimator, hvp="exact") for name, estimator in FINITE.items()}
every = pytest.mark.parametrize(
    "estimator", [pytest.param(e, id=n) for n, e in {**ESTIMATORS, **EXACT_PRODUCTS}.items()]
)
with_differences = pytest.mark.parametrize("estimator", [pytest.param(e, id=n) for n, e in FINITE.items()])


def test_every_public_estimator_is_tested_here() -> None:
    helpers = {"alpha_eigenvalue", "frozen_buffers", "gradient", "Gradient", "Loss"}
    assert set(hypergradient.__all__) - helpers == set(ESTIMATORS)


class PlantedError(Exception):
    """Raised by a loss, on purpose."""


@every
def test_weights_flags_and_grad_fields_come_back(estimator: Estimator) -> None:
    """Bit for bit, whichever pass of either loss raises, and when none does; with dropout and BatchNorm."""
    problem = bilevel(dtype=torch.float32, norm=True, dropout=0.3)
    for t in [*problem.weights, *problem.alphas]:
        t.grad = torch.full_like(t, 1e6)
    before = state(problem)
    clean = flat(estimator(*arguments(problem)))
    assert_same_state(before, problem)
    assert clean.abs().max() < 1e5, ".grad was read"
    calls = 0
    fail_at = 10**9

    def watched(loss: Callable[[], Tensor]) -> Callable[[], Tensor]:
        def run() -> Tensor:
            nonlocal calls
            calls += 1
            value = loss()
            if calls - 1 == fail_at:
                raise PlantedError
            return value

        return run

    given = (watched(problem.train_loss), watched(problem.val_loss), problem.weights, problem.alphas)
    estimator(*given)
    passes = calls
    for fail_at in {*range(min(passes, 8)), passes - 1}:  # noqa: B007  (run() sees it)
        calls = 0
        with pytest.raises(PlantedError):
            estimator(*given)
        assert_same_state(before, problem)


@every
def test_a_validation_loss_without_weights_leaves_the_first_term(estimator: Estimator) -> None:
    """v = 0, so that every second term is zero, not 0 / 0."""
    problem = bilevel()
    alphas = problem.alphas
    report: dict[str, Any] = {}

    def val_loss() -> Tensor:
        return sum(alpha.square().sum() for alpha in alphas)  # type: ignore[return-value]

    got = estimator(problem.train_loss, val_loss, problem.weights, alphas, report=report)
    assert torch.equal(flat(got), 2 * flat(alphas))
    assert report["ratio"] == 0
    assert report["cosine"] == 0


@every
def test_losses_without_alphas_have_a_zero_gradient(estimator: Estimator) -> None:
    problem = bilevel()
    loss = lambda: sum(w.tanh().square().sum() for w in problem.weights)  # noqa: E731
    assert not flat(estimator(loss, loss, problem.weights, problem.alphas)).any()


@every
def test_the_report_describes_the_result(estimator: Estimator) -> None:
    """result = first + second, with the reported norms and cosine; all entries are 0-d tensors."""
    problem = bilevel()
    report: dict[str, Any] = {}
    result = flat(estimator(*arguments(problem), report=report))
    assert all(isinstance(value, Tensor) and value.dim() == 0 for value in report.values())
    first, second, cosine = (report[name].item() for name in ("first_norm", "second_norm", "cosine"))
    assert report["ratio"].item() == pytest.approx(second / first)
    assert result.square().sum().item() == pytest.approx(first**2 + second**2 + 2 * cosine * first * second, rel=1e-6)


@pytest.mark.parametrize("name", ["conjugate_gradient", "neumann", "two_moment", "unrolled"])
def test_the_second_term_can_be_sized_against_the_first(name: str) -> None:
    problem = bilevel()
    report: dict[str, Any] = {}
    for size, ratio in (({"rho": 0.5}, 0.5), ({"rho": 2.0, "cap": 0.25}, 0.25), ({"cap": 1e-9}, 1e-9)):
        FINITE[name](*arguments(problem), report=report, **size)
        assert report["ratio"].item() == pytest.approx(ratio)
    with pytest.raises(ValueError, match=r"rho must be finite and not negative, got -1\.0"):
        FINITE[name](*arguments(problem), rho=-1.0)


@pytest.mark.parametrize(
    ("name", "finite", "exact"),
    [
        ("amended", 5, 3),
        ("two_moment", 5, 3),
        ("unrolled", 4, 3),
        ("neumann", 3 + 2 * 2, 2 + 2),
        ("conjugate_gradient", 3 + 2 * 2, 2 + 2),
    ],
)
def test_the_stated_number_of_passes_and_nothing_is_read_back(
    name: str, finite: int, exact: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a scalar would stall a device; on the CPU alone finiteness is checked, which this test switches off."""
    problem = bilevel()
    monkeypatch.setattr(_problem, "_check_finite", lambda *_: None)

    def refuse(self: Tensor, *_: Any) -> Any:
        raise AssertionError("a scalar was read back")

    for reader in ("item", "__bool__", "__float__", "tolist"):
        monkeypatch.setattr(Tensor, reader, refuse)
    for hvp, passes in (("finite", finite), ("exact", exact)):
        calls = []

        def counted(scalar: Any, inputs: Any, calls: list[int] = calls) -> list[Tensor]:
            calls.append(len(inputs))
            return gradient(scalar, inputs)

        FINITE[name](*arguments(problem), hvp=hvp, gradient=counted, report={})
        assert len(calls) == passes


@with_differences
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_radius_is_the_length_of_every_perturbation(estimator: Estimator, dtype: torch.dtype) -> None:
    """‖w' − w‖ = radius in each pass of a difference, whatever the length of the vector; + and − are opposite."""
    problem = bilevel(dtype=dtype)
    start = flat(problem.weights)
    moves: list[Tensor] = []

    def train_loss() -> Tensor:
        moves.append(flat(problem.weights) - start)
        return problem.train_loss()

    estimator(train_loss, problem.val_loss, problem.weights, problem.alphas, radius=0.01)
    moves = [move for move in moves if move.any()]  # unrolled evaluates the training loss at w, too
    assert len(moves) >= 2
    for plus, minus in zip(moves[::2], moves[1::2], strict=True):
        assert plus.norm().item() == pytest.approx(0.01, rel=1e-4)
        assert (plus + minus).norm() < 1e-6


@with_differences
def test_settings_of_the_differences_are_checked(estimator: Estimator) -> None:
    with pytest.raises(ValueError, match=r"radius must be positive, got 0\.0"):
        estimator(*arguments(bilevel()), radius=0.0)
    with pytest.raises(ValueError, match="hvp must be 'finite' or 'exact', got 'forward'"):
        estimator(*arguments(bilevel()), hvp="forward")


@with_differences
def test_losses_that_are_not_finite_are_named(estimator: Estimator) -> None:
    problem = bilevel()
    for hvp in ("finite", "exact"):
        with pytest.raises(FloatingPointError, match=r"validation loss's gradient .* is not finite"):
            estimator(problem.train_loss, lambda: problem.val_loss() * float("nan"), *arguments(problem)[2:], hvp=hvp)


@with_differences
def test_masks_are_equal_in_every_training_pass(estimator: Estimator) -> None:
    """With dropout, finite and exact products agree only if every training pass draws one mask."""
    problem = bilevel(dropout=0.5)
    torch.manual_seed(3)
    finite = flat(estimator(*arguments(problem), radius=1e-4))
    torch.manual_seed(3)
    assert relative(finite, flat(estimator(*arguments(problem), hvp="exact"))) < 1e-4


@with_differences
def test_running_statistics_can_be_kept(estimator: Estimator) -> None:
    problem = bilevel(norm=True)
    before = {k: v.clone() for k, v in problem.network.norm.state_dict().items()}
    with frozen_buffers(problem.network):
        estimator(*arguments(problem))
    assert all(torch.equal(before[k], v) for k, v in problem.network.norm.state_dict().items())


@every
def test_parameters_outside_the_weights_stay_out(estimator: Estimator) -> None:
    """Frozen or not, a parameter that is not among ``weights`` is a constant: the problem over the others alone."""
    results = []
    for frozen in (False, True):
        problem = bilevel()
        left_out = list(problem.network.first.parameters())
        for parameter in left_out:
            parameter.requires_grad_(not frozen)
        problem.weights = [w for w in problem.weights if not any(w is p for p in left_out)]
        results.append(flat(estimator(*arguments(problem))))
        assert all(p.requires_grad is not frozen for p in left_out)
    assert torch.equal(*results)


@pytest.mark.parametrize("name", ["first_order", *FINITE])
def test_compiled_losses_give_the_same(name: str) -> None:
    """Differences need first derivatives only, so that they work where double backward is refused."""
    problem = bilevel(norm=True)
    want = flat(ESTIMATORS[name](*arguments(problem)))
    losses = (torch.compile(loss, backend="aot_eager") for loss in (problem.train_loss, problem.val_loss))
    assert relative(flat(ESTIMATORS[name](*losses, problem.weights, problem.alphas)), want) < 1e-6

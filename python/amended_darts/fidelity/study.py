"""The study: every estimator against the exact hypergradient, problem by problem."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amended_darts.fidelity.config import FidelityConfig
from amended_darts.fidelity.measure import PASSES, agreement, second_terms, sized, through_training, two_moment
from amended_darts.fidelity.network import descend, minimise, network_problem, set_weights
from amended_darts.fidelity.problems import (
    Bilevel,
    Dense,
    counterexample,
    dense,
    flat,
    random_quadratic,
    ridge,
)
from amended_darts.files import prepare_folder, write_text
from amended_darts.hypergradient import amended

CONDITIONS = (1.0, 10.0, 100.0, 1000.0)
DAMPINGS = (0.001, 0.01, 0.1, 1.0)
RADII = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
RHOS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
ETAS = (0.001, 0.01, 0.1, 1.0)

Row = dict[str, Any]


def run_study(config: FidelityConfig, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Runs everything and writes fidelity.json, fidelity.txt and fidelity.png to ``config.out``.

    Args:
        say: gets a line per part as it begins.

    Returns:
        What fidelity.json holds: ``config``, ``seconds``; ``counterexample``; ``agreement``, a row per problem, truth
        and estimator; ``sizes``, of the whole gradient by ρ and η; ``damping``; ``differences``, by radius and
        precision; ``spectra``.

    Raises:
        InputError: a setting out of range, an ``out`` that cannot be written to, scikit-learn or matplotlib missing.
        RunError: a file could not be written.
    """
    config = config.resolved()
    out = Path(config.out)
    prepare_folder(out, "--out")
    from amended_darts.fidelity.plot import draw
    from amended_darts.fidelity.table import describe

    threads = torch.get_num_threads()
    start = time.monotonic()
    results: dict[str, Any] = {"config": asdict(config), "counterexample": _counterexample()}
    for name in ("agreement", "sizes", "damping", "differences", "spectra"):
        results[name] = []
    torch.set_num_threads(1)  # the problems are tiny
    try:
        say("quadratic problems")
        _quadratics(config, results)
        say("ridge regression")
        _ridges(config, results)
        for smooth in (True, False):
            for i in range(config.network_seeds):
                say(f"super-network on digits, {_activation(smooth)}, {i + 1} of {config.network_seeds}")
                _network(config, config.seed + i, smooth, results)
    finally:
        torch.set_num_threads(threads)
    results["seconds"] = round(time.monotonic() - start, 1)
    write_text(out / "fidelity.json", json.dumps(results, indent=1, allow_nan=False) + "\n")
    write_text(out / "fidelity.txt", describe(results) + "\n")
    draw(results, out / "fidelity.png")
    return results


def _counterexample() -> Row:
    problem = counterexample()
    second = flat(amended(*problem.arguments(), eta=1.0, radius=1e-4))
    exact = dense(problem).second()
    return {"inner_product": float(second @ exact), "cosine": agreement(second, exact).cosine}


def _compare(
    results: dict[str, Any], name: str, seed: int, point: Dense, seconds: dict[str, Tensor], truths: dict[str, Tensor]
) -> None:
    for truth, second_truth in truths.items():
        for estimator in PASSES:
            found = agreement(seconds[estimator], second_truth)
            whole = agreement(point.g1 + seconds[estimator], point.g1 + second_truth)
            results["agreement"].append(
                {
                    "problem": name,
                    "seed": seed,
                    "truth": truth,
                    "estimator": estimator,
                    "cosine": found.cosine,
                    "ratio": found.ratio,
                    "whole_cosine": whole.cosine,
                }
            )


def _spectrum(results: dict[str, Any], name: str, seed: int, point: Dense, **more: float) -> Tensor:
    eigenvalues = torch.linalg.eigvalsh(point.H)
    quantiles = torch.quantile(eigenvalues, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64))
    row = {"problem": name, "seed": seed, "quantiles": quantiles.tolist(), **more}
    row["negative"] = int((eigenvalues < -1e-9).sum())
    row["weights"] = len(eigenvalues)
    results["spectra"].append(row)
    return eigenvalues


def _quadratics(config: FidelityConfig, results: dict[str, Any]) -> None:
    for correlated in (False, True):
        for condition in CONDITIONS:
            name = f"quadratic, {'correlated' if correlated else 'isotropic'}, condition {condition:g}"
            for seed in range(config.seed, config.seed + config.quadratic_seeds):
                problem = random_quadratic(condition, correlated, torch.Generator().manual_seed(seed))
                point = dense(problem)
                seconds = second_terms(problem, point.g1, 1.0, 0.0, config.radius)
                seconds["two-moment"] = two_moment(point, 0.0)
                _compare(results, name, seed, point, seconds, {"exact": point.second()})
            _spectrum(results, name, seed, point)


def _ridges(config: FidelityConfig, results: dict[str, Any]) -> None:
    for seed in range(config.seed, config.seed + config.ridge_seeds):
        problem, loss_at = ridge(torch.Generator().manual_seed(seed))
        point = dense(problem)
        largest = float(_spectrum(results, "ridge", seed, point)[-1])
        seconds = second_terms(problem, point.g1, 1 / largest, 0.0, config.radius)
        seconds["two-moment"] = two_moment(point, 0.0)
        alpha, epsilon = problem.alphas[0].detach(), 1e-5
        units = epsilon * torch.eye(len(alpha), dtype=alpha.dtype)
        retrained = torch.stack([(loss_at(alpha + u) - loss_at(alpha - u)) / (2 * epsilon) for u in units])
        _compare(results, "ridge", seed, point, seconds, {"exact": point.second(), "re-trained": retrained})


def _activation(smooth: bool) -> str:
    return "softplus" if smooth else "ReLU"


def _size(config: FidelityConfig) -> dict[str, Any]:
    return {"images": 30, "channels": 1} if config.quick else {}


def _network(config: FidelityConfig, seed: int, smooth: bool, results: dict[str, Any]) -> None:
    """At two points: early in training, and trained to a small gradient."""
    problem = network_problem(seed, smooth, **_size(config))
    for stage in ("trained",) if config.quick else ("early", "trained"):
        descend(problem, 20 if stage == "early" or config.quick else 280, lr=0.1)
        if stage == "trained":
            minimise(problem, 20 if config.quick else 300)
        name = f"network, {_activation(smooth)}, {stage}"
        slope = flat(torch.autograd.grad(problem.train_loss(), problem.weights)).norm()
        point = dense(problem)
        exact = point.second(config.damping)
        largest = float(
            _spectrum(
                results,
                name,
                seed,
                point,
                gradient=float(slope),
                v=float(point.v.norm()),
                g1=float(point.g1.norm()),
                g2=float(exact.norm()),
            )[-1]
        )
        lr = 1 / largest
        seconds = second_terms(problem, point.g1, lr, config.damping, config.radius)
        seconds["two-moment"] = two_moment(point, config.damping)
        trained = through_training(problem, config.unrolled_steps, lr)
        truths = {"exact": exact, f"{config.unrolled_steps} steps": trained - point.g1}
        _compare(results, name, seed, point, seconds, truths)
        _sizes(results, name, seed, point, seconds, truths)
        for damping in DAMPINGS:
            damped = {"exact, damping": point.second(damping), "amended": seconds["amended"], "A v": seconds["A v"]}
            for estimator, second in damped.items():
                for truth, second_truth in truths.items():
                    row = {"problem": name, "seed": seed, "damping": damping, "estimator": estimator, "truth": truth}
                    results["damping"].append({**row, "cosine": agreement(second, second_truth).cosine})
    _differences(config, results, name, seed, smooth, problem, point)


def _sizes(
    results: dict[str, Any],
    name: str,
    seed: int,
    point: Dense,
    seconds: dict[str, Tensor],
    truths: dict[str, Tensor],
) -> None:
    """The whole gradient by the size of its second term."""
    for truth, second_truth in truths.items():
        whole = point.g1 + second_truth
        row = {"problem": name, "seed": seed, "truth": truth}
        for estimator in ("amended", "A v", "two-moment", "cg(5)"):
            for rho in RHOS:
                cosine = agreement(sized(point.g1, seconds[estimator], rho), whole).cosine
                results["sizes"].append({**row, "estimator": estimator, "size": f"rho {rho:g}", "cosine": cosine})
        for eta in ETAS:
            second = eta * seconds["amended"]
            cosine = agreement(point.g1 + second, whole).cosine
            ratio = float(second.norm() / point.g1.norm())
            entry = {**row, "estimator": "amended", "size": f"eta {eta:g}", "cosine": cosine, "ratio": ratio}
            results["sizes"].append(entry)


def _differences(
    config: FidelityConfig, results: dict[str, Any], name: str, seed: int, smooth: bool, problem: Bilevel, point: Dense
) -> None:
    """The amended term by finite differences against the one by double backward, by radius and precision."""
    want = -point.A @ (point.H @ point.v)
    precisions = {"float64": None, "float32": None, "TF32": 10, "bfloat16": 7}
    for precision, bits in precisions.items():
        dtype = torch.float64 if precision == "float64" else torch.float32
        copy = network_problem(seed, smooth, dtype=dtype, bits=bits, **_size(config))
        set_weights(copy, problem.weights)
        for radius in RADII:
            got = flat(amended(*copy.arguments(), eta=1.0, radius=radius))
            got = got - flat(torch.autograd.grad(copy.val_loss(), copy.alphas))
            error = float((got - want).norm() / want.norm())
            cosine = agreement(got, want).cosine
            row = {"problem": name, "seed": seed, "precision": precision, "radius": radius}
            results["differences"].append({**row, "cosine": cosine, "error": error})

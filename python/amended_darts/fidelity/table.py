"""The results as text: medians over seeds, worst cases, and how often the sign is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

Row = dict[str, Any]


def describe(results: dict[str, Any]) -> str:
    """All tables. Every figure is a median over seeds unless its column says otherwise."""
    found = results["counterexample"]
    parts = [
        "A case where the amended term points away from the exact one: H = diag(1, 10), A = [1 1], v = (1, -0.5)",
        f"  <amended, exact> = {found['inner_product']:.3f}, cosine {found['cosine']:.3f}",
        "",
        "Spectra of H (of the last seed): quantiles 0, 1/4, 1/2, 3/4, 1; norms where they were taken",
        *_spectra(results["spectra"]),
        "",
        "The second term of each estimator against the truth's: cosine (median; lowest; share of seeds below zero),",
        "norm ratio, and the cosine of the whole gradients (sizes as they come, amended with eta = 1)",
        *_agreement(results["agreement"]),
        "",
        "Whole gradient against the truth's, by the size of the second term: cosine",
        *_grid(results["sizes"], ("problem", "truth", "estimator"), "size", "cosine"),
        "",
        "Norm of amended's second term over that of the first, with an absolute eta",
        *_grid([r for r in results["sizes"] if "ratio" in r], ("problem", "estimator"), "size", "ratio"),
        "",
        "Second terms against the truth's, by damping of the exact one: cosine",
        *_grid(
            [r for r in results["damping"] if r["estimator"] == "exact, damping"],
            ("problem", "truth"),
            "damping",
            "cosine",
        ),
        "",
        "Amended term by finite differences against double backward, by radius: relative error",
        *_grid(results["differences"], ("problem", "precision"), "radius", "error"),
        "and cosine",
        *_grid(results["differences"], ("problem", "precision"), "radius", "cosine"),
        "",
        f"{results['seconds']} s",
    ]
    return "\n".join(parts)


def _groups(rows: Iterable[Row], keys: tuple[str, ...]) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def _spectra(rows: list[Row]) -> list[str]:
    lines = []
    for (problem,), group in _groups(rows, ("problem",)).items():
        row = group[-1]
        text = "  ".join(f"{value:9.2e}" for value in row["quantiles"])
        norms = "  ".join(f"|{key}| {row[key]:.2e}" for key in ("gradient", "v", "g1", "g2") if key in row)
        negative = f"{row['negative']} of {row['weights']} negative"
        lines.append(f"  {problem:40}{text}  {negative}  {norms}".rstrip())
    return lines


def _agreement(rows: list[Row]) -> list[str]:
    lines = [f"  {'problem, truth':54}{'estimator':14}{'cosine':>8}{'lowest':>8}{'< 0':>6}{'ratio':>10}{'whole':>8}"]
    for (problem, truth, estimator), group in _groups(rows, ("problem", "truth", "estimator")).items():
        cosines = [row["cosine"] for row in group]
        below = sum(c < 0 for c in cosines) / len(cosines)
        ratio, whole = (median(row[key] for row in group) for key in ("ratio", "whole_cosine"))
        lines.append(
            f"  {f'{problem}; {truth}':54}{estimator:14}{median(cosines):8.3f}{min(cosines):8.3f}{below:6.0%}"
            f"{ratio:10.3g}{whole:8.3f}"
        )
    return lines


def _grid(rows: list[Row], keys: tuple[str, ...], column: str, value: str) -> list[str]:
    columns = list(dict.fromkeys(row[column] for row in rows))
    heads = [head if isinstance(head, str) else f"{head:g}" for head in columns]
    lines = [f"  {', '.join(keys):60}" + "".join(f"{head:>10}" for head in heads)]
    for key, group in _groups(rows, keys).items():
        cells = []
        for head in columns:
            found = [row[value] for row in group if row[column] == head and value in row]
            cells.append(f"{median(found):10.3g}" if found else f"{'-':>10}")
        lines.append(f"  {', '.join(str(k) for k in key):60}" + "".join(cells))
    return lines

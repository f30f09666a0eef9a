"""The benchmarks' JSON as Markdown tables: what the scripts print and what docs/results.md shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from amended_darts.results_page import markdown_table

Record = dict[str, Any]


def markdown(results: Record, name: str) -> str:
    """One of the tables of a file: ``weight`` and ``alpha`` of search_step, ``images`` of search_loop, ``threads-N`` of
    mixed_op."""
    tables: dict[str, Callable[[Record], str]] = {"weight": weight, "alpha": alpha, "images": images}
    if name.startswith("threads-"):
        return edges(results, int(name.removeprefix("threads-")))
    return tables[name](results)


def weight(results: Record) -> str:
    """Weight steps of a super-network."""
    fused = next(row for row in results["weight_steps"] if row["variant"] == "fused")
    head = ("weight step", "seconds", "times the fused one's", "peak of memory", "times the fused one's")
    return markdown_table(
        head,
        (
            (
                row["variant"],
                f"{row['seconds']:.2f}",
                f"{row['seconds'] / fused['seconds']:.1f}",
                f"{row['peak bytes'] / 2**30:.2f} GiB",
                f"{row['peak bytes'] / fused['peak bytes']:.1f}",
            )
            for row in results["weight_steps"]
        ),
    )


def alpha(results: Record) -> str:
    """Steps of α on the fused operator, in units of a forward and backward pass."""
    unit = results["alpha_steps"][0]["seconds"]
    rows = ((row["step"], f"{row['seconds']:.2f}", f"{row['seconds'] / unit:.2f}") for row in results["alpha_steps"])
    return markdown_table(("fused", "seconds", "in forwards and backwards"), rows)


def images(results: Record) -> str:
    """Images a second of whole epochs."""
    head = ("images", "network", "gradient of α", "fused", "twin", "fused is faster by")
    return markdown_table(
        head,
        (
            (row["images"], row["network"], row["estimator"], f"{row['fused']:.1f}", f"{row['reference']:.1f}",
             f"{row['fused'] / row['reference']:.1f}")
            for row in results["rows"]
        ),
    )  # fmt: skip


def edges(results: Record, threads: int) -> str:
    """Forward and backward of one edge, variants against shapes; memory in units of the input."""
    rows = [row for row in results["rows"] if row["threads"] == threads]
    shapes, variants = (list(dict.fromkeys(row[key] for row in rows)) for key in ("shape", "variant"))
    found = {(row["variant"], row["shape"]): row for row in rows}
    lines = []
    for variant in variants:
        mine = [found[variant, shape] for shape in shapes]
        memory = (span(row[key] / row["x bytes"] for row in mine) for key in ("saved bytes", "peak bytes"))
        lines.append((variant, *(f"{1e3 * row['seconds']:.3g} ms" for row in mine), *memory))
    return markdown_table((f"{threads} thread{'s' if threads > 1 else ''}", *shapes, "saved", "peak"), lines)


def span(values: Iterable[float]) -> str:
    """Least and largest."""
    found = sorted(values)
    low, high = f"{found[0]:.2g}", f"{found[-1]:.2g}"
    return low if low == high else f"{low}–{high}"

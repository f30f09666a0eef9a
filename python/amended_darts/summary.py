"""What a run came to, in a few lines: printed at its end, and at the top of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amended_darts.genotype import Genotype
from amended_darts.words import duration


def summary_rows(
    config: dict[str, Any], lines: Sequence[dict[str, Any]], genotype: Genotype | None, stopped: str | None
) -> list[tuple[str, str]]:
    """(what, value) for people; what a run does not tell is left out.

    Args:
        config: as in config.json.
        lines: as in metrics.jsonl.
    """
    last = lines[-1] if lines else {}
    rows = [
        (name, str(config[name])) for name in ("space", "estimator", "data", "seed") if config.get(name) is not None
    ]
    epochs = f"{last.get('epoch', 0)} of {config.get('epochs', '?')}"
    rows.append(("epochs", f"{epochs}, stopped: {stopped}" if stopped else epochs))
    accuracies = [(line["heldout_accuracy"], -line["epoch"]) for line in lines if _is_number(line, "heldout_accuracy")]
    if accuracies:
        best, epoch = max(accuracies)
        rows.append(("held-out accuracy", f"{accuracies[-1][0]:.4f}, best {best:.4f} in epoch {-epoch}"))
    for name, key in (("training loss", "train_loss"), ("held-out loss", "heldout_loss")):
        if _is_number(last, key):
            rows.append((name, f"{last[key]:.4f}"))
    if _is_number(last, "alpha_entropy"):
        rows.append(("entropy of α", f"{last['alpha_entropy']:.3f} nats"))
    if _is_number(last, "skip_share"):
        rows.append(("mean weight of skip_connect", f"{last['skip_share']:.3f}"))
    if _is_number(last, "alpha_eigenvalue"):
        rows.append(("dominant eigenvalue along α", f"{last['alpha_eigenvalue']:.4g}"))
    if genotype is not None:
        counts = genotype.operator_counts().items()
        rows.append(("operators kept", ", ".join(f"{count} {operator}" for operator, count in counts)))
    seconds = [line["seconds"] for line in lines if _is_number(line, "seconds")]
    if seconds:
        rows.append(("time", f"{duration(sum(seconds))}, {duration(sum(seconds) / len(seconds))} an epoch"))
    memory = [line["peak_memory_bytes"] for line in lines if _is_number(line, "peak_memory_bytes")]
    if memory:
        rows.append(("peak memory", f"{max(memory) / 2**20:.0f} MiB"))
    return rows


def as_text(rows: Sequence[tuple[str, str]]) -> str:
    """The rows as a table of plain text."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _is_number(line: dict[str, Any], key: str) -> bool:
    return isinstance(line.get(key), (int, float)) and not isinstance(line[key], bool)

"""Stopping rules: functions of the lines of metrics.jsonl, so that a resumed search decides as an uninterrupted one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amended_darts.errors import InputError

Line = dict[str, Any]
EXPECTED = "skips=N, eigenvalue or eigenvalue=RATIO, or both with a comma between"


@dataclass(frozen=True)
class Verdict:
    """Why a search ends, and the epoch (from 1) whose architecture counts; None for the last."""

    reason: str
    epoch: int | None = None


@dataclass(frozen=True)
class SkipRule:
    """Ends when a cell (none of the reduction cells) keeps ``limit`` skip connections: the first criterion of DARTS+
    (arXiv 1909.06035, section 3.2), there with 2."""

    limit: int
    needs_eigenvalue = False

    def __call__(self, lines: Sequence[Line]) -> Verdict | None:
        """Decides on the last of the lines."""
        name, count = max(lines[-1]["skips"].items(), key=lambda entry: entry[1], default=("", 0))
        if count < self.limit:
            return None
        cell = name if name.startswith("cell") else f"{name} cell"
        return Verdict(f"the {cell} keeps {count} skip connections (--stop skips={self.limit})")


@dataclass(frozen=True)
class EigenvalueRule:
    """Ends when the dominant eigenvalue of ∂²L_val/∂α², averaged over ``window`` epochs, has grown within ``back``
    epochs by more than ``ratio``; the architecture of ``back`` epochs ago counts (RobustDARTS, arXiv 1909.09656
    section 4.3)."""

    ratio: float = 1.3
    window: int = 5
    back: int = 4
    needs_eigenvalue = True

    def __call__(self, lines: Sequence[Line]) -> Verdict | None:
        """Decides on the last of the lines; needs window + back of them, each with its eigenvalue."""
        recent = lines[-self.window - self.back :]
        values = [line["alpha_eigenvalue"] for line in recent if line.get("alpha_eigenvalue") is not None]
        if len(values) < self.window + self.back:
            return None
        now, then = _mean(values[-self.window :]), _mean(values[: self.window])
        if then <= 0 or now <= self.ratio * then:
            return None
        return Verdict(
            f"the dominant eigenvalue of the Hessian along α grew {now / then:.2f}-fold within {self.back} epochs "
            f"(--stop eigenvalue={self.ratio:g})",
            int(lines[-1]["epoch"]) - self.back,
        )


Rule = SkipRule | EigenvalueRule


def parse_rules(text: str) -> list[Rule]:
    """The rules that ``--stop`` asks for, each at most once.

    Raises:
        InputError: anything else.
    """
    wrong = InputError(f"--stop: expected {EXPECTED}, got '{text}'")
    rules: list[Rule] = []
    for part in text.split(","):
        name, given, value = part.strip().partition("=")
        try:
            if name == "skips":
                rules.append(SkipRule(int(value)))
            elif name == "eigenvalue":
                rules.append(EigenvalueRule(float(value)) if given else EigenvalueRule())
            else:
                raise wrong
        except ValueError:
            raise wrong from None
    limits = [rule.limit >= 1 if isinstance(rule, SkipRule) else 1 < rule.ratio < math.inf for rule in rules]
    if not all(limits) or len({type(rule) for rule in rules}) < len(rules):
        raise wrong
    return rules


def is_rules(text: str) -> bool:
    """Whether ``parse_rules`` accepts the text."""
    try:
        parse_rules(text)
    except InputError:
        return False
    return True


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

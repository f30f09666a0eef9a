"""Settings of the memory benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from amended_darts.benchmark.cases import MEASURED, PUBLISHED, QUICK, Case
from amended_darts.benchmark.names import VARIANTS
from amended_darts.errors import InputError
from amended_darts.options import at_least, check_options, flag, option


@dataclass(frozen=True)
class MemoryConfig:
    """Everything the benchmark depends on.

    Raises:
        InputError: on ``check()`` and ``cases()``: a value out of range.
    """

    out: str = option("runs/memory", "folder for memory.json, memory.txt and memory.png; goes on with what is there")
    spaces: str | None = option(None, "search spaces, with commas between: every combination of these five")
    cells: str | None = option(None, "depths, with commas between", "cells", unset="8 with --spaces")
    channels: str | None = option(None, "widths of the first cell", "channels", unset="16 with --spaces")
    batch_size: str | None = option(None, "sizes of a batch", "images", unset="64 with --spaces")
    image_size: str | None = option(
        None, "heights and widths; from 128 with the stem for ImageNet", "pixels", unset="32 with --spaces"
    )
    variants: str | None = option(None, "what to compare, with commas between", unset="all of them")
    budgets: str = option("8,16,24,40,80", "memories to find the largest batch for, with commas between", "GB")
    quick: bool = option(False, "two tiny networks, in about a minute, without compile")
    measure: bool = option(True, "also measure, where the case is small enough for this machine")
    device: str = option("cpu", "where to measure", choices=("cpu", "cuda"))
    threads: int = option(1, "of the CPU", "threads", check=at_least(1, "thread"))
    rounds: int = option(
        3, "of interleaved weight steps that are timed; 0 for none", "rounds", check=at_least(0, "rounds")
    )

    def check(self) -> None:
        """Raises InputError where a value is out of range."""
        check_options(self)
        self.chosen_variants()
        self.bytes_of_budgets()
        self.cases()

    def chosen_variants(self) -> list[str]:
        """The variants, in the order of ``VARIANTS``; the one that others are compared with is always there."""
        if self.variants is None:
            return [name for name in VARIANTS if not (self.quick and name == "compile")]
        wanted = [name.strip().replace("fused kept", "fused, kept") for name in _parts(self.variants)]
        for name in wanted:
            if name not in VARIANTS:
                known = ", ".join(known.replace(",", "") for known in VARIANTS)
                raise InputError(f"--variants: expected some of {known}, got '{name}'")
        return [name for name in VARIANTS if name in wanted]

    def bytes_of_budgets(self) -> dict[str, float]:
        """Each budget as it was written, and in bytes: a GB has 10⁹, a little less than a card's."""
        budgets = {}
        for text in _parts(self.budgets):
            try:
                budgets[text] = 1e9 * float(text)
            except ValueError:
                budgets[text] = 0.0
            if not 0 < budgets[text] < 1e18:
                raise InputError(f"--budgets: expected numbers above 0 with commas between, got '{text}'")
        return budgets

    def cases(self) -> list[tuple[Case, bool]]:
        """What to look at, and whether to measure it too."""
        if self.spaces is not None:
            names = [name.strip() for name in _parts(self.spaces)]
            sizes = [_numbers(name, getattr(self, name) or default) for name, default in _SIZES]
            chosen = [(Case(name, *one), self.measure) for name in names for one in product(*sizes)]
        else:
            given = [name for name, _ in _SIZES if getattr(self, name) is not None]
            if given:
                raise InputError(f"{flag(given[0])}: expected --spaces beside it, got none")
            if self.quick:
                chosen = [(case, self.measure) for case in QUICK]
            else:
                chosen = [*((case, False) for case in PUBLISHED), *((case, True) for case in MEASURED if self.measure)]
        for case, _ in chosen:
            case.found()
        return chosen


_SIZES = (("cells", "8"), ("channels", "16"), ("batch_size", "64"), ("image_size", "32"))


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _numbers(name: str, text: str) -> list[int]:
    numbers = []
    for part in _parts(text):
        if not part.isascii() or not part.isdigit() or not 0 < int(part) < 2**31:
            raise InputError(f"{flag(name)}: expected whole numbers from 1 with commas between, got '{part}'")
        numbers.append(int(part))
    return numbers

"""Settings of a search: one dataclass, from which the command line, its help and ``config.json`` follow.

Defaults are those of DARTS (arXiv 1806.09055, section 3) unless the help says otherwise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from amended_darts.errors import InputError
from amended_darts.estimators import ESTIMATORS, OPTIONS, takers
from amended_darts.options import check_options, flag
from amended_darts.presets import preset_values
from amended_darts.settings import (
    AlphaOptions,
    DataOptions,
    EstimatorOptions,
    NetworkOptions,
    RunOptions,
    SpaceOptions,
    SpeedOptions,
    WarningOptions,
    WeightOptions,
)

RHO, EVERY = 2.0, 4
"""Size of the amended term, and steps of w for one of α, where nothing is said. With ρ = 1 searches still drifted
towards skip connections, with 16 towards pooling; on the images of one batch most of the term was noise
(docs/results.md)."""


@dataclass(frozen=True)
class SearchConfig(
    RunOptions,
    SpeedOptions,
    WarningOptions,
    EstimatorOptions,
    AlphaOptions,
    WeightOptions,
    NetworkOptions,
    SpaceOptions,
    DataOptions,
):  # fields stand in the order from last to first
    """Everything that a search depends on. ``option`` texts document the fields; units stand in brackets in the help.

    Raises:
        InputError: on ``resolved()``: a value out of range, or settings that contradict each other.
    """

    @classmethod
    def from_preset(cls, preset: str, **changes: Any) -> SearchConfig:
        """The settings of a preset (``amended_darts.presets.PRESETS``) with some of them changed.

        Raises:
            InputError: no such preset.
        """
        return cls(**preset_values(preset, changes))

    def resolved(self) -> SearchConfig:
        """The checked configuration with every default that depends on other settings filled in."""
        from amended_darts.consistency import resolve_network
        from amended_darts.spaces import find_space

        check_options(self)
        space = find_space(self.space)
        if self.eta is not None and self.rho is not None:
            raise InputError(f"--eta, --rho: expected one of the two, got both ({self.eta} and {self.rho})")
        if self.batch_size // self.accumulate < 2:
            raise InputError(
                f"--accumulate: expected at most {self.batch_size // 2} parts of {self.batch_size} images (batch "
                f"normalisation needs two in each), got {self.accumulate}"
            )
        if self.resume and self.overwrite:
            raise InputError("--resume, --overwrite: expected one of the two, got both")
        if self.hvp == "exact" and self.implementation != "reference":
            raise InputError(
                "--hvp: exact products need second derivatives, expected --implementation reference, "
                f"got {self.implementation}"
            )
        return replace(
            self,
            **resolve_network(self, space),
            **self._resolved_estimator(),
            **self._resolved_alpha(),
        )

    def _resolved_estimator(self) -> dict[str, Any]:
        """The settings of the chosen estimator, defaults filled in.

        Raises:
            InputError: a setting that it does not take.
        """
        defaults = ESTIMATORS[self.estimator].defaults
        for name in OPTIONS:
            if getattr(self, name) is not None and name not in defaults:
                why = "has no second term" if not defaults else f"takes {', '.join(map(flag, defaults))}"
                raise InputError(
                    f"{flag(name)}: expected --estimator {' or '.join(takers(name))}, got {self.estimator}, which {why}"
                )
        values = {
            name: default if getattr(self, name) is None else getattr(self, name) for name, default in defaults.items()
        }
        if "eta" in values and values["eta"] is None and values["rho"] is None:
            values["rho"] = RHO
        return values

    def _resolved_alpha(self) -> dict[str, Any]:
        """How often and how fast α moves."""
        own = self.estimator == "amended" and self.eta is None
        every = self.alpha_every or (EVERY if own else 1)
        return {"alpha_every": every, "alpha_lr": self.alpha_lr or 3e-4 * every**0.5}

    def estimator_settings(self) -> dict[str, Any]:
        """The options that belong to the estimator and have a value."""
        return {
            name: value for name in ESTIMATORS[self.estimator].defaults if (value := getattr(self, name)) is not None
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written to ``config.json``."""
        return asdict(self)


FREE_ON_RESUME = frozenset(entry.name for entry in fields(SearchConfig) if entry.metadata["free"])
"""Settings that say where and how a search is computed, not what it computes: a resumed search may change them."""

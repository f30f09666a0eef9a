"""Options as dataclass fields: a field carries its help, unit, group, range and choices, so that the command line, its
help and the checks all follow from one line."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import Field, field, fields
from typing import Any

from amended_darts.errors import InputError

Check = tuple[Callable[[Any], bool], str]  # what holds for good values, and in words what is expected


def option(
    default: Any,
    help: str,
    unit: str = "",
    group: str = "search",
    *,
    check: Check | None = None,
    choices: tuple[str, ...] = (),
    unset: str = "none",
    metavar: str = "",
    free: bool = False,
) -> Any:
    """A dataclass field that is an option.

    Args:
        default: its value where nothing is said.
        help, unit: for ``--help``.
        group: the heading it stands under in ``--help``.
        check: the values it may have; None is always good.
        choices: the texts it may be.
        unset: what the help gives as the default where that is None.
        metavar: what stands for its value in the help; by type if not given.
        free: says where and how something is computed, not what: a resumed search may change it.
    """
    return field(
        default=default,
        metadata={
            "help": help,
            "unit": unit,
            "group": group,
            "check": check,
            "choices": choices,
            "unset": unset,
            "metavar": metavar,
            "free": free,
        },
    )


def at_least(low: float, what: str) -> Check:
    """A finite number not below ``low``."""
    return lambda value: math.isfinite(value) and value >= low, f"at least {low:g} {what}"


def not_negative(what: str) -> Check:
    """A finite number from 0."""
    return lambda value: math.isfinite(value) and value >= 0, what


def positive(what: str) -> Check:
    """A finite number above 0."""
    return lambda value: math.isfinite(value) and value > 0, what


def rate() -> Check:
    """A decay rate or momentum."""
    return lambda value: 0 <= value < 1, "a number from 0 to below 1"


def flag(name: str) -> str:
    """The command line's name of a field."""
    return "--" + name.replace("_", "-")


def field_types(annotation: Any) -> tuple[type, ...]:
    """The types in an annotation such as ``float | None``, which is text here (postponed evaluation)."""
    known: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool, "None": type(None)}
    return tuple(known[name.strip()] for name in str(annotation).split("|"))


def check_options(config: Any) -> None:
    """Type, choices and range of every field of a dataclass of options.

    Raises:
        InputError: the first that does not fit.
    """
    for entry in fields(config):
        _check_type(entry, getattr(config, entry.name))
    for entry in fields(config):
        value, choices, check = getattr(config, entry.name), entry.metadata["choices"], entry.metadata["check"]
        if value is None:
            continue
        if choices and value not in choices:
            raise InputError(f"{flag(entry.name)}: expected one of {', '.join(choices)}, got '{value}'")
        if check is not None and not check[0](value):
            raise InputError(f"{flag(entry.name)}: expected {check[1]}, got {value}")


def _check_type(entry: Field[Any], value: Any) -> None:
    kinds = field_types(entry.type)
    if not (type(value) in kinds or (type(value) is int and float in kinds)):
        wanted = " or ".join("nothing" if kind is type(None) else kind.__name__ for kind in kinds)
        raise InputError(f"{flag(entry.name)}: expected {wanted}, got {value!r}")

"""Checks parsed JSON key by key. Every fault is one sentence with the file, the JSON path, what was expected and what
came."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from amended_darts.errors import InputError


class JsonReader:
    """Checks for the parts of one JSON document.

    Args:
        source: what errors call the document.
    """

    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, path: str, expected: str, came: str) -> InputError:
        """The error to raise."""
        return InputError(f"{self.source}: {path}: expected {expected}, got {came}")

    def keys(
        self, value: Any, path: str, expected: Sequence[str], optional: Sequence[str] = (), listed: Sequence[str] = ()
    ) -> dict[str, Any]:
        """An object with all the expected keys, perhaps optional ones, and no others.

        ``listed``: the keys that errors name, the expected ones by default.
        """
        named = ", ".join(f'"{key}"' for key in listed or expected)
        if not isinstance(value, dict):
            raise self.fail(path, f"an object with {named}", show(value))
        for key in expected:
            if key not in value:
                raise self.fail(path, f'the key "{key}"', "an object without it")
        for key in value:
            if key not in expected and key not in optional:
                raise self.fail(path, f"the keys {named} alone", show(key))
        return value

    def items(self, value: Any, path: str, expected: str) -> list[Any]:
        """A list that is not empty."""
        if not isinstance(value, list) or not value:
            raise self.fail(path, f"a list of {expected}, one at least", show(value))
        return value

    def integer(self, value: Any, path: str, low: int, high: int, what: str) -> int:
        """An integer within bounds."""
        if type(value) is not int or not low <= value <= high:  # bool is an int, and no number
            raise self.fail(path, f"{what}, an integer from {low} to {high}", show(value))
        return value

    def boolean(self, value: Any, path: str) -> bool:
        """true or false."""
        if not isinstance(value, bool):
            raise self.fail(path, "true or false", show(value))
        return value

    def text(self, value: Any, path: str, what: str) -> str:
        """A string that is not empty."""
        if not isinstance(value, str) or not value:
            raise self.fail(path, what, show(value))
        return value

    def one_of(self, value: Any, path: str, choices: Sequence[str]) -> str:
        """One of some strings."""
        if not isinstance(value, str) or value not in choices:
            raise self.fail(path, f"one of {', '.join(choices)}", show(value))
        return value


def show(value: Any) -> str:
    """A JSON value as it stands in the file, cut where it is long."""
    shown = json.dumps(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."

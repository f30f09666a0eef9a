"""What the commands that measure something print at the end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def show(text: str, folder: str | Path, files: Iterable[str]) -> None:
    """Prints the tables, then where each file lies, a line each."""
    print(text)
    for name in files:
        print(Path(folder) / name)

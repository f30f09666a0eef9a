"""Loads the compiled library, which registers the operators with torch."""

from __future__ import annotations

from pathlib import Path

import torch

PATH = Path(__file__).with_name("libamended_darts.so")


def load() -> None:
    """Loads the library once.

    Raises:
        ImportError: where it was not built, or the installed torch is too old for it.
    """
    if not PATH.exists():
        raise ImportError(
            f"amended_darts_ext was not built: {PATH.name} is missing from {PATH.parent}; "
            "install the project with `pip install .`"
        )
    try:
        torch.ops.load_library(str(PATH))
    except OSError as error:
        raise ImportError(
            f"amended_darts_ext does not load with torch {torch.__version__}, which must be 2.11 or newer: {error}"
        ) from error

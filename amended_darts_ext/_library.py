"""Finds and loads the compiled library, which registers the operators with torch."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import torch

NAME = "libamended_darts.so"
#: Where the compiled files are: beside this file when installed. A source tree that hides an installed package (Python
#: was started in the root of the repository, say) takes the installed one's.
FOLDER = Path(__file__).parent


def _installed_folder() -> Path | None:
    found = importlib.metadata.distributions(name="amended-darts")
    folders = (Path(str(distribution.locate_file("amended_darts_ext"))) for distribution in found)
    return next((folder for folder in folders if (folder / NAME).exists()), None)


if not (FOLDER / NAME).exists():
    FOLDER = _installed_folder() or FOLDER
PATH = FOLDER / NAME


def load() -> None:
    """Loads the library once.

    Raises:
        ImportError: where it was not built, or the installed torch is too old for it.
    """
    if not PATH.exists():
        raise ImportError(
            f"amended_darts_ext was not built: {NAME} is missing from {FOLDER}; install it with `pip install .`"
        )
    try:
        torch.ops.load_library(str(PATH))
    except OSError as error:
        raise ImportError(
            f"amended_darts_ext does not load with torch {torch.__version__}, which must be 2.11 or newer: {error}"
        ) from error

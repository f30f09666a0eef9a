"""Packages that only some parts need: they live in the extra ``search``, not in the base install."""

from __future__ import annotations

import importlib
from types import ModuleType

from amended_darts.errors import InputError


def require(module: str, purpose: str, install: str = '"amended-darts[search]"') -> ModuleType:
    """Imports an optional package.

    Raises:
        InputError: the package is not installed; one sentence that says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        raise InputError(f"{purpose} needs {missing}, which is not installed: pip install {install}") from None

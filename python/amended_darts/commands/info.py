"""``amended-darts info``: versions, what was built, and what there is to choose from."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import subprocess
import sys
from decimal import Decimal
from typing import Any

from amended_darts.config import SearchConfig
from amended_darts.estimators import ESTIMATORS
from amended_darts.spaces import SPACES

HELP = "show versions, the compiled library, search spaces, data sets and estimators"

EXTRA = ("jsonargparse", "tqdm", "sklearn", "matplotlib")


def add_arguments(parser: Any) -> None:
    """No options."""


def run(options: Any) -> int:
    """Prints everything; what is missing is named, never an error."""
    import amended_darts

    print(f"amended-darts {amended_darts.__version__}, Python {platform.python_version()}, {platform.platform()}")
    for name in ("torch", "numpy", *EXTRA, "torchvision"):
        print(f"  {name}: {_version(name)}")
    print("operator library:")
    built = subprocess.run(
        [sys.executable, "-m", "amended_darts_ext.info"], capture_output=True, text=True, check=False
    )
    told = built.stdout if built.returncode == 0 else built.stderr.strip().rpartition("\n")[2]
    print("\n".join("  " + line for line in told.strip().splitlines()))
    print("search spaces (architectures):")
    for space in SPACES.values():
        groups = space.groups(space.cells)
        kind = (
            f"{space.cells} cells of their own"
            if not space.shared
            else {1: "one cell", 2: "two cell types"}[len(groups)]
        )
        print(f"  {space.name}: {_count(space.size())} ({space.nodes} nodes, {kind})")
    print(f"data sets: {', '.join(_sources())}")
    default = SearchConfig().estimator
    print(f"estimators: {', '.join(ESTIMATORS)} (default {default})")
    return 0


def _version(module: str) -> str:
    if importlib.util.find_spec(module) is None:
        return "not installed"
    try:
        return str(importlib.import_module(module).__version__)
    except Exception as error:  # installed for another torch, for one
        return f"does not import ({type(error).__name__})"


def _sources() -> list[str]:
    from amended_darts.data import SOURCES

    return list(SOURCES)


def _count(size: int) -> str:
    return f"{size:,} = {Decimal(size):.1e}"

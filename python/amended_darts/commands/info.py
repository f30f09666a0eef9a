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
from amended_darts.spaces import SPACES, Space, find_space

HELP = "show versions, the compiled library, search spaces, data sets and estimators"

EXTRA = ("jsonargparse", "tqdm", "sklearn", "matplotlib", "safetensors", "onnx", "onnxruntime", "onnxscript")


def add_arguments(parser: Any) -> None:
    """Which spaces to show."""
    parser.add_argument(
        "--space",
        type=str | None,
        default=None,
        help="a search space or the JSON file of one, to show it alone (docs/spaces.md)",
    )


def run(options: Any) -> int:
    """Prints everything; what is missing is named, never an error."""
    if options.space is not None:
        print(_describe(find_space(options.space)))
        return 0
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
        print(_describe(space))
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


def _describe(space: Space) -> str:
    """A line with the exact number of architectures; only its size where it has thousands of digits."""
    groups = space.groups(space.cells)
    kinds = {1: "one cell", 2: "two cell types"}
    kind = kinds[len(groups)] if space.shared else f"{space.cells} cells of their own"
    size = space.size()
    exact = f"{size:,} = " if size.bit_length() < 10_000 else ""
    return f"  {space.name}: {exact}{Decimal(size):.1e} ({space.nodes} nodes, {kind})"

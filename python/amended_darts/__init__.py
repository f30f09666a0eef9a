"""Differentiable architecture search with the amended architectural gradient (arXiv 1910.11831).

>>> from amended_darts import SearchConfig, search
>>> result = search(SearchConfig(data="digits", epochs=2, out="runs/first"))

Names are imported when they are first used, so that ``import amended_darts`` itself loads nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amended_darts.architecture import Architecture as Architecture
    from amended_darts.callbacks import Callback as Callback
    from amended_darts.candidates import register_candidate as register_candidate
    from amended_darts.candidates import register_space as register_space
    from amended_darts.config import SearchConfig as SearchConfig
    from amended_darts.data.custom import custom_data as custom_data
    from amended_darts.derived import DerivedNetwork as DerivedNetwork
    from amended_darts.derived.files import load_network as load_network
    from amended_darts.errors import AmendedDartsError as AmendedDartsError
    from amended_darts.errors import InputError as InputError
    from amended_darts.errors import Interrupted as Interrupted
    from amended_darts.errors import RunError as RunError
    from amended_darts.genotype import Genotype as Genotype
    from amended_darts.published import find_genotype as find_genotype
    from amended_darts.retraining import RetrainConfig as RetrainConfig
    from amended_darts.retraining.loop import RetrainResult as RetrainResult
    from amended_darts.retraining.loop import retrain as retrain
    from amended_darts.search_loop import search as search
    from amended_darts.search_result import SearchResult as SearchResult
    from amended_darts.spaces import Space as Space
    from amended_darts.spaces import find_space as find_space
    from amended_darts.spaces import uniform as uniform
    from amended_darts.supernet import SuperNet as SuperNet

_HOMES = {
    "AmendedDartsError": "errors",
    "Architecture": "architecture",
    "Callback": "callbacks",
    "DerivedNetwork": "derived",
    "Genotype": "genotype",
    "InputError": "errors",
    "Interrupted": "errors",
    "RetrainConfig": "retraining",
    "RetrainResult": "retraining.loop",
    "RunError": "errors",
    "SearchConfig": "config",
    "SearchResult": "search_result",
    "Space": "spaces",
    "SuperNet": "supernet",
    "custom_data": "data.custom",
    "find_genotype": "published",
    "find_space": "spaces",
    "load_network": "derived.files",
    "register_candidate": "candidates",
    "register_space": "candidates",
    "retrain": "retraining.loop",
    "search": "search_loop",
    "uniform": "spaces",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("amended-darts")
        except PackageNotFoundError:  # imported from a source tree that was never installed
            return "0+unknown"
    if name in _HOMES:
        return getattr(importlib.import_module(f"amended_darts.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'amended_darts' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)

"""The build backend: setuptools', plus torch as a build requirement only where the environment has none."""

from __future__ import annotations

from setuptools import build_meta as _setuptools
from setuptools.build_meta import *  # noqa: F403
from toolchain import torch_dir


def _with_torch(requirements: list[str]) -> list[str]:
    return requirements if torch_dir() else [*requirements, "torch>=2.11"]


def get_requires_for_build_wheel(config_settings: dict | None = None) -> list[str]:
    return _with_torch(_setuptools.get_requires_for_build_wheel(config_settings))


def get_requires_for_build_editable(config_settings: dict | None = None) -> list[str]:
    return _with_torch(_setuptools.get_requires_for_build_editable(config_settings))

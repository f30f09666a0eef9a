"""Checkpoint files: whole or absent on disk, read without unpickling code, refused by name where they do not fit."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any, Protocol

import torch

from amended_darts.config import FREE_ON_RESUME
from amended_darts.errors import InputError
from amended_darts.estimators import OPTIONS
from amended_darts.files import replacing
from amended_darts.options import flag

VERSION = 2


class Settings(Protocol):
    """The configuration of a run."""

    def to_dict(self) -> dict[str, Any]: ...


def save_checkpoint(path: Path, state: dict[str, Any], kind: str = "search") -> None:
    """Writes ``state`` (tensors and plain values) so that ``path`` holds either it or what was there before.

    Args:
        kind: the command whose checkpoint it is.

    Raises:
        RunError: the file could not be written.
    """
    # Serialised in memory first: the disk then sees plain writes, whose failures name the disk's reason.
    buffer = io.BytesIO()
    torch.save({"format": _format(kind), "version": VERSION, **state}, buffer)
    with replacing(path) as file:
        file.write(buffer.getbuffer())


def load_checkpoint(path: Path, kind: str = "search") -> dict[str, Any]:
    """Reads and verifies a checkpoint.

    Raises:
        InputError: the file is truncated, damaged, not a checkpoint of that ``kind``, or of another version.
    """
    foreign = InputError(f"{path}: expected a checkpoint of {_format(kind)}, got another kind of file")
    try:
        with zipfile.ZipFile(path) as archive:  # a checkpoint is a zip archive: this verifies its checksums
            damaged = archive.testzip()
    except OSError as error:
        raise InputError(f"{path}: expected a checkpoint, cannot read it ({error.strerror or error})") from None
    except Exception:  # BadZipFile, and other kinds where a byte of a header is wrong
        raise InputError(f"{path}: expected a whole checkpoint, got a truncated or foreign file") from None
    if damaged is not None:
        raise InputError(f"{path}: expected a whole checkpoint, its part {damaged} is damaged")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch and pickle raise many kinds over an archive that is not a checkpoint
        raise foreign from None
    if not isinstance(state, dict) or state.get("format") != _format(kind):
        raise foreign
    if state.get("version") != VERSION:
        raise InputError(f"{path}: expected a checkpoint of version {VERSION}, got version {state.get('version')}")
    return state


def _format(kind: str) -> str:
    return f"amended-darts {kind}"


def keep_previous(path: Path, step: int) -> None:
    """Gives the checkpoint at ``path``, of that step, a second name with the step in it, so that the next one can take
    its place. Costs no space where the file system has hard links.

    Raises:
        RunError: the name cannot be made.
    """
    older = path.with_name(f"{path.stem}-{step:08d}{path.suffix}")
    older.unlink(missing_ok=True)
    try:
        os.link(path, older)
    except OSError:
        with replacing(older) as copy:
            copy.write(path.read_bytes())


def earlier_checkpoints(path: Path) -> list[Path]:
    """Those that ``keep_previous`` kept beside ``path``, the oldest first."""
    return sorted(path.parent.glob(f"{path.stem}-{'[0-9]' * 8}{path.suffix}"))


def forget_earlier(path: Path, keep: int) -> None:
    """Deletes all but the newest ``keep`` of them."""
    earlier = earlier_checkpoints(path)
    for old in earlier[: len(earlier) - keep]:
        old.unlink(missing_ok=True)


def check_same_run(
    path: Path,
    state: dict[str, Any],
    config: Settings,
    facts: dict[str, Any],
    free: frozenset[str] = FREE_ON_RESUME,
    run: str = "search",
) -> None:
    """Refuses to continue another run.

    Args:
        facts: what the data looks like (numbers of images and classes), compared with the checkpoint's.
        free: settings that may differ.
        run: what errors call it.

    Raises:
        InputError: names the file and every setting that differs.
    """
    saved, asked = state["config"], config.to_dict()
    different = [name for name in asked if name not in free and saved.get(name, asked[name]) != asked[name]]
    if "estimator" in different:  # its own settings differ for that reason alone
        different = [name for name in different if name not in OPTIONS]
    if different:
        then = ", ".join(f"{flag(name)} {saved[name]}" for name in different)
        now = ", ".join(f"{flag(name)} {asked[name]}" for name in different)
        raise InputError(
            f"{path}: this {run} was started with {then}, got {now} (its options: --config {path.parent}/config.json)"
        )
    for name, value in facts.items():
        if state["data"].get(name) != value:
            raise InputError(f"{path}: this {run} was started with {state['data'].get(name)} {name}, got {value}")

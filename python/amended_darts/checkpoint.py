"""Checkpoint files: whole or absent on disk, read without unpickling code, refused by name where they do not fit."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from amended_darts.config import FREE_ON_RESUME, SearchConfig
from amended_darts.errors import InputError
from amended_darts.estimators import OPTIONS
from amended_darts.files import replacing
from amended_darts.options import flag

FORMAT = "amended-darts search"
VERSION = 2


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes ``state`` (tensors and plain values) so that ``path`` holds either it or what was there before.

    Raises:
        RunError: the file could not be written.
    """
    # Serialised in memory first: the disk then sees plain writes, whose failures name the disk's reason.
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "version": VERSION, **state}, buffer)
    with replacing(path) as file:
        file.write(buffer.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads and verifies a checkpoint.

    Raises:
        InputError: the file is truncated, damaged, not a search's checkpoint, or of another version.
    """
    foreign = InputError(f"{path}: expected a checkpoint of amended-darts search, got another kind of file")
    try:
        with zipfile.ZipFile(path) as archive:  # a checkpoint is a zip archive: this verifies its checksums
            damaged = archive.testzip()
        state = torch.load(path, map_location="cpu", weights_only=True) if damaged is None else None
    except zipfile.BadZipFile:
        raise InputError(f"{path}: expected a whole checkpoint, got a truncated or foreign file") from None
    except OSError as error:
        raise InputError(f"{path}: expected a checkpoint, cannot read it ({error.strerror or error})") from None
    except Exception:  # torch and pickle raise many kinds over an archive that is not a checkpoint
        raise foreign from None
    if damaged is not None:
        raise InputError(f"{path}: expected a whole checkpoint, its part {damaged} is damaged")
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise foreign
    if state.get("version") != VERSION:
        raise InputError(f"{path}: expected a checkpoint of version {VERSION}, got version {state.get('version')}")
    return state


def check_same_search(path: Path, state: dict[str, Any], config: SearchConfig, facts: dict[str, Any]) -> None:
    """Refuses to continue another search.

    Args:
        facts: what the data looks like (numbers of images and classes), compared with the checkpoint's.

    Raises:
        InputError: names the file and every setting that differs.
    """
    saved, asked = state["config"], config.to_dict()
    different = [name for name in asked if name not in FREE_ON_RESUME and saved.get(name, asked[name]) != asked[name]]
    if "estimator" in different:  # its own settings differ for that reason alone
        different = [name for name in different if name not in OPTIONS]
    if different:
        then = ", ".join(f"{flag(name)} {saved[name]}" for name in different)
        now = ", ".join(f"{flag(name)} {asked[name]}" for name in different)
        raise InputError(
            f"{path}: this search was started with {then}, got {now} (its options: --config {path.parent}/config.json)"
        )
    for name, value in facts.items():
        if state["data"].get(name) != value:
            raise InputError(f"{path}: this search was started with {state['data'].get(name)} {name}, got {value}")

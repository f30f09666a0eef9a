"""Files that are whole or absent: written beside the target, synced to disk, then renamed over it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from amended_darts.errors import InputError, RunError


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of ``path`` when the block ends well, and vanishes when it does not.

    Raises:
        RunError: the file could not be written (a full disk, for one); ``path`` is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Deletes the half-written files that a killed process left beside their targets."""
    for path in folder.glob(".*.[0-9]*.tmp"):
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself survive a power cut, where the system lets a folder be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:  # some network file systems refuse; the rename stays atomic there
        pass
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Replaces ``path`` by ``text`` (UTF-8), atomically."""
    with replacing(path) as file:
        file.write(text.encode())


def prepare_folder(folder: Path, option: str) -> None:
    """Makes a folder (parents too) and checks that files can be created in it.

    Raises:
        InputError: it cannot be made or written to; names ``option`` and the folder.
    """
    probe = folder / f".write-test.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"{option}: expected a folder that can be written to, got {folder} ({error.strerror or error})"
        ) from None


def read_json(path: Path, option: str) -> Any:
    """Reads a JSON file strictly: UTF-8, no duplicate keys, no NaN or Infinity.

    Raises:
        InputError: the file cannot be read or is not such JSON; one sentence that names it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected JSON text in UTF-8, got other bytes") from None
    except OSError as error:
        raise InputError(f"{option}: expected a JSON file, cannot read {path} ({error.strerror or error})") from None
    return parse_json(text, str(path))


def parse_json(text: str, source: str) -> Any:
    """``read_json`` for text in hand; ``source`` names it in errors."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{source}: expected JSON, got a syntax error at line {error.lineno}, column {error.colno} ({error.msg})"
        ) from None
    except RecursionError:
        raise InputError(f"{source}: expected JSON nested a few levels deep, got far deeper nesting") from None
    except ValueError as error:  # a repeated key, NaN, or an integer of thousands of digits
        raise InputError(f"{source}: {str(error).partition(';')[0]}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"expected every key of an object once, got {json.dumps(key)} twice")
        found[key] = value
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"expected finite numbers, got {name}")

"""A figure of matplotlib as a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from amended_darts.files import replacing


def save_png(figure: Any, path: Path, dpi: int) -> None:
    """Writes a PNG, whole or not at all.

    Raises:
        RunError: the file could not be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    with replacing(path) as file:
        file.write(buffer.getvalue())

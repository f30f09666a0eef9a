"""α as heat-maps: for each edge a row per operator, a column per epoch, the softmax weight as colour."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

from amended_darts.extras import require
from amended_darts.report.runs import EdgeHistory


def data_uri(kind: str, content: bytes) -> str:
    """Content that stands in the page itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def edge_map(edge: EdgeHistory, top: float) -> str:
    """A figure. ``top``: the weight that gets the brightest colour."""
    last = edge.weights[-1]
    best = max(range(len(last)), key=last.__getitem__)
    names = "".join(f"<span>{escape(name)}</span>" for name in edge.operators)
    finals = "".join(f"<span{' class=best' if at == best else ''}>{value:.2f}</span>" for at, value in enumerate(last))
    told = f"{edge.name}: most on {edge.operators[best]} ({last[best]:.2f}) after epoch {len(edge.weights)}"
    rows = list(zip(*edge.weights, strict=True))  # [operators, epochs]
    picture = f'<img src="{_png(rows, top)}" alt="{escape(told)}" title="{escape(told)}">'
    return (
        f'<figure class="edge"><figcaption>{escape(edge.name)}</figcaption>'
        f'<div class="map" style="--rows:{len(rows)}"><div class="names">{names}</div>{picture}'
        f'<div class="finals">{finals}</div></div></figure>'
    )


def scale(top: float) -> str:
    """What the colours mean."""
    row = [top * step / 63 for step in range(64)]
    bar = f'<img class="bar" src="{_png([row], top)}" alt="colours from dark to bright">'
    return (
        f'<p class="scale">softmax weight 0 {bar} {top:.2f}; epochs run from left to right, the number is the last</p>'
    )


def _png(rows: Sequence[Sequence[float]], top: float) -> str:
    """One pixel an entry."""
    require("matplotlib", "the report")
    image_module = require("PIL.Image", "the report")
    import numpy
    from matplotlib import colormaps

    shares = numpy.asarray(rows, dtype=float) / max(top, 1e-12)
    pixels = (colormaps["viridis"](shares)[:, :, :3] * 255).round().astype(numpy.uint8)
    buffer = io.BytesIO()
    image_module.fromarray(pixels).save(buffer, format="png", optimize=True)
    return data_uri("image/png", buffer.getvalue())

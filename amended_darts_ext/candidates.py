"""The candidate operations of a mixed op, as the library's own table (csrc/common/candidates.h) has them.

Definitions follow the public DARTS code of 2018; ``nor_conv_*`` are NAS-Bench-201's ReLU-Conv-BN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CANDIDATES", "DARTS", "Candidate", "find_candidates"]


@dataclass(frozen=True)
class Candidate:
    """One candidate operation.

    Attributes:
        name: as it is written in ``candidates``.
        kind: ``none``, ``max_pool``, ``avg_pool``, ``skip``, ``depthwise`` or ``dense``.
        kernel: k of the convolution or pool.
        dilation: of the depthwise convolution.
        halves: how many times ReLU, depthwise, 1x1, BN follow each other (2: separable, 1: dilated).
    """

    name: str
    kind: str
    kernel: int
    dilation: int = 1
    halves: int = 0

    @property
    def padding(self) -> int:
        """Zeros around the image that keep its size at stride 1."""
        return self.kernel // 2 * self.dilation

    def sets_channels(self, stride: int) -> bool:
        """Whether the weights say how many channels the output has; the other candidates keep those of x."""
        return self.kind == "dense" or (self.kind == "skip" and stride != 1)

    def param_shapes(
        self, channels: int, stride: int, out_channels: int | None = None
    ) -> list[tuple[int, int, int, int]]:
        """Shapes of the convolution weights, in forward order; ``out_channels`` is ``channels`` unless given."""
        c, k = channels, self.kernel
        out = c if out_channels is None else out_channels
        if self.kind == "depthwise":
            return [(c, 1, k, k), (c, c, 1, 1)] * self.halves
        if self.kind == "dense":
            return [(out, c, k, k)]
        if self.kind == "skip" and stride != 1:
            return [(out // 2, c, 1, 1), (out - out // 2, c, 1, 1)]
        return []

    def num_norms(self, stride: int, pool_norm: bool = True) -> int:
        """How many BatchNorms the candidate has."""
        if self.kind == "depthwise":
            return self.halves
        if self.kind in ("max_pool", "avg_pool"):
            return int(pool_norm)
        return int(self.sets_channels(stride))


CANDIDATES: dict[str, Candidate] = {
    candidate.name: candidate
    for candidate in (
        Candidate("none", "none", 0),
        Candidate("max_pool_3x3", "max_pool", 3),
        Candidate("avg_pool_3x3", "avg_pool", 3),
        Candidate("skip_connect", "skip", 1),
        Candidate("sep_conv_3x3", "depthwise", 3, halves=2),
        Candidate("sep_conv_5x5", "depthwise", 5, halves=2),
        Candidate("sep_conv_7x7", "depthwise", 7, halves=2),
        Candidate("dil_conv_3x3", "depthwise", 3, dilation=2, halves=1),
        Candidate("dil_conv_5x5", "depthwise", 5, dilation=2, halves=1),
        Candidate("nor_conv_1x1", "dense", 1, halves=1),
        Candidate("nor_conv_3x3", "dense", 3, halves=1),
    )
}

#: The eight candidates of the 2018 DARTS code, in its order.
DARTS: tuple[str, ...] = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


def find_candidates(names: Sequence[str], op: str = "mixed_edges") -> list[Candidate]:
    """The table's rows for ``names``.

    Raises:
        RuntimeError: for an empty list or a name that is not in the table (the type the compiled operators raise).
    """
    if len(names) == 0:
        raise RuntimeError(f"{op}: candidates must name at least one operation, got an empty list")
    for name in names:
        if name not in CANDIDATES:
            raise RuntimeError(
                f"{op}: unknown candidate '{name}' in candidates; expected one of {', '.join(CANDIDATES)}"
            )
    return [CANDIDATES[name] for name in names]

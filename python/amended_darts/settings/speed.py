"""How fast and in how much memory."""

from __future__ import annotations

from dataclasses import dataclass

from amended_darts.options import at_least, option


@dataclass(frozen=True)
class SpeedOptions:
    """How fast and in how much memory."""

    implementation: str = option(
        "fused",
        "mixed operations: fused (compiled) or reference (plain PyTorch, for comparison)",
        group="speed",
        choices=("fused", "reference"),
        free=True,
    )
    recompute: str = option(
        "auto",
        "branch outputs in the backward pass: always computes them again (less memory), never keeps them (faster); "
        "auto keeps them where they fit into a quarter of the memory that is free; results are the same",
        group="speed",
        choices=("auto", "always", "never"),
        metavar="WHEN",
        free=True,
    )
    accumulate: int = option(
        1,
        "parts that each batch is computed in, one after the other: memory of one part; batch normalisation sees parts",
        "parts",
        "speed",
        check=at_least(1, "part"),
    )
    amp: str = option(
        "off",
        "autocast in weight steps: off, bf16 or fp16 (with a scaled loss); α steps stay in float32",
        group="speed",
        choices=("off", "bf16", "fp16"),
        metavar="FORMAT",
    )
    cuda_graph: bool = option(
        False,
        "capture weight steps and α steps as CUDA graphs after a few of each: then one call launches a whole step; "
        "on a GPU, in one process",
        group="speed",
        free=True,
    )
    compile: bool = option(
        False,
        "torch.compile the super-network: a minute or more of compiling at the start, shorter steps after",
        group="speed",
        free=True,
    )

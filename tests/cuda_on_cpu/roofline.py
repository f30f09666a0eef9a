"""``python -m tests.cuda_on_cpu.roofline``: what memory and arithmetic allow the CUDA mixed op, by public peak figures.

A calculation, not a measurement. Transfers are those that test_traffic_mixed.py pins; FLOPs follow from the plan
(docs/cuda.md). The eager figures count what PyTorch's kernels read and write for the same eight candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

from .test_traffic_mixed import BACKWARD, FORWARD, WIDE_BACKWARD

EAGER = 105 + 230  # transfers of an activation, forward and backward, of one edge
DEPTHWISE = 9 + 25 + 9 + 25 + 9 + 25  # taps of the six depthwise convolutions
PRODUCTS = 6  # 1x1 convolutions
FINAL = 4  # of which a candidate's last
WHOLE = 64  # channels of a block (convolution_backward.cuh)


@dataclass(frozen=True)
class Gpu:
    """Peak figures of the vendor's data sheets: memory in bytes per second, float32 without tensor cores in FLOP/s."""

    name: str
    bandwidth: float
    flops: float


GPUS = (Gpu("A100 40 GB", 1.555e12, 19.5e12), Gpu("H100 SXM", 3.35e12, 66.9e12))


def multiply_adds(c: int) -> tuple[int, int]:
    """Per element of an activation, forward and backward."""
    forward = DEPTHWISE + PRODUCTS * c
    again = forward + DEPTHWISE + (FINAL * c if c <= WHOLE else 0)  # recomputed, and once more where z is not kept
    return forward, again + 2 * PRODUCTS * c + 2 * DEPTHWISE  # both gradients of products and depthwise convolutions


def row(c: int, size: int, batch: int = 64, bytes_of: int = 4) -> str:
    plans = (FORWARD, BACKWARD if c <= WHOLE else WIDE_BACKWARD)
    transfers = [sum(loaded + stored for _, loaded, stored in plan) for plan in plans]
    elements = batch * c * size * size
    moved = sum(transfers) * elements * bytes_of
    flops = 2 * sum(multiply_adds(c)) * elements
    cells = [
        f"{c} ch {size}x{size}",
        f"{transfers[0]} + {transfers[1]}",
        f"{moved / 1e6:.0f} MB",
        f"{flops / 1e9:.1f} GF",
        f"{flops / moved:.0f}",
    ]
    for gpu in GPUS:
        memory, arithmetic = moved / gpu.bandwidth, flops / gpu.flops
        eager = max(EAGER * elements * bytes_of / gpu.bandwidth, flops / 2 / gpu.flops)
        bound = "memory" if memory > arithmetic else "FLOPs"
        cells.append(
            f"{memory * 1e6:.0f} µs, {arithmetic * 1e6:.0f} µs ({bound}), {eager / max(memory, arithmetic):.1f}x"
        )
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    head = ["shape, N = 64", "transfers", "moved", "float32", "FLOP/byte"]
    head += [f"{gpu.name}: by memory, by FLOPs, against eager" for gpu in GPUS]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for c, size in ((16, 32), (32, 16), (64, 8), (36, 32), (72, 16), (144, 8), (48, 28), (96, 14), (192, 7)):
        print(row(c, size))


if __name__ == "__main__":
    main()

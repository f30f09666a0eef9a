"""``python -m tests.cuda_on_cpu.roofline``: what memory and arithmetic allow the CUDA mixed op, by public peak figures.

A calculation, not a measurement. Transfers are those that test_traffic_mixed.py pins, with parameters and sums; FLOPs
follow from the plan (docs/cuda.md). The eager figures count what PyTorch's kernels read and write for the same eight
candidates, and the FLOPs of a forward pass and both gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

from .transfers import BACKWARD, DEPTHWISE, FINAL, FORWARD, PRODUCTS, WHOLE, WIDE_BACKWARD, moved

EAGER = 105 + 230  # transfers of an activation, forward and backward, of one edge


@dataclass(frozen=True)
class Gpu:
    """Peak figures of the vendor's data sheets: memory in bytes per second, arithmetic in FLOP/s without sparsity."""

    name: str
    bandwidth: float
    float32: float
    tensor: float  # bfloat16 and float16


GPUS = (Gpu("A100 40 GB", 1.555e12, 19.5e12, 312e12), Gpu("H100 SXM", 3.35e12, 66.9e12, 989e12))


def multiply_adds(c: int) -> tuple[int, int]:
    """Per element of an activation, forward and backward together: of depthwise convolutions and of products."""
    parts = -(-c // WHOLE)  # blocks that convolve the same patch again, each for some rows of the product
    depthwise = parts * 3 * DEPTHWISE + 2 * DEPTHWISE  # forward, recomputed twice, both gradients
    products = PRODUCTS + PRODUCTS + (FINAL if c <= WHOLE else 0) + 2 * PRODUCTS
    return depthwise, products * c


def row(c: int, size: int, bytes_of: int, batch: int = 64) -> str:
    plans = (FORWARD, BACKWARD if c <= WHOLE else WIDE_BACKWARD)
    transfers = [sum(loaded + stored for _, loaded, stored in plan) for plan in plans]
    elements = batch * c * size * size
    transferred = moved(batch, c, size, size, bytes_of) * elements * bytes_of
    depthwise, products = (2 * count * elements for count in multiply_adds(c))
    cells = [
        f"{c} ch {size}x{size}",
        "float32" if bytes_of == 4 else "16 bits",
        f"{transfers[0]} + {transfers[1]}",
        f"{transferred / 1e6:.0f} MB",
        f"{(depthwise + products) / 1e9:.1f} GF",
    ]
    for gpu in GPUS:
        memory = transferred / gpu.bandwidth
        peak = gpu.float32 if bytes_of == 4 else gpu.tensor  # of products
        arithmetic = depthwise / gpu.float32 + products / peak
        once = 3 * 2 * elements * (DEPTHWISE / gpu.float32 + PRODUCTS * c / peak)
        eager = max(EAGER * elements * bytes_of / gpu.bandwidth, once)
        bound = "memory" if memory > arithmetic else "FLOPs"
        ratio = eager / max(memory, arithmetic)
        cells.append(f"{memory * 1e6:.0f} µs, {arithmetic * 1e6:.0f} µs ({bound}), {ratio:.1f}x")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    head = ["shape, N = 64", "type", "transfers", "moved", "arithmetic"]
    head += [f"{gpu.name}: by memory, by FLOPs, against eager" for gpu in GPUS]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    shapes = [(16, 32), (32, 16), (64, 8), (36, 32), (72, 16), (144, 8), (48, 112), (48, 28), (96, 56), (96, 14)]
    shapes += [(192, 28), (192, 7), (384, 14), (384, 7)]
    for bytes_of in (4, 2):
        for c, size in shapes:
            print(row(c, size, bytes_of))


if __name__ == "__main__":
    main()

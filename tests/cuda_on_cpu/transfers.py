"""What the launches of mixed_edges move, as the plan of csrc/cuda/mixed needs it, in activations of one edge.

x1, g: the state and the gradient of y; z1, z1': hidden activations of both separable convolutions before BN, and the
gradients of their BNs' outputs; zd: the dilated ones' outputs; d: gradients of depthwise outputs. Beyond these a launch
moves parameters, statistics and sums of tiles (2 numbers for 64 positions), and the parameters' partial gradients.
"""

from __future__ import annotations

FORWARD = [
    ("convolution", 1, 4),  # x -> z1, z1, zd, zd; pools' statistics from the same x
    ("statistics", 0, 0),
    ("convolution", 2, 2),  # z1, z1 -> z2, z2
    ("statistics", 0, 0),
    ("combine", 5, 1),  # x (pools, identity), z2, z2, zd, zd -> y
]
BACKWARD = [
    ("convolution", 2, 2),  # x, g -> z1, z1; the dilated ones' outputs give their sums and are not kept
    ("convolution", 3, 0),  # z1, z1, g -> sums
    ("reduce", 2, 0),  # x, g -> sums of pools and identity
    ("sums", 0, 0),
    ("factor", 0, 0),
    ("convolution_backward", 3, 2),  # g, z1, z1 -> d, d
    ("hidden_backward", 4, 2),  # d, d, z1, z1 -> z1', z1'
    ("sums", 0, 0),
    ("convolution_backward", 6, 4),  # g, z1', z1', z1, z1, x -> d, d, d, d
    ("input_backward", 6, 1),  # d x 4, x, g -> grad_x
    ("parameters", 0, 0),
]
# More channels than a block's rows: final outputs are kept for backward, and read instead of computed again.
WIDE_BACKWARD = [
    ("convolution", 2, 4),  # x, g -> z1, z1, zd, zd
    ("convolution", 3, 2),  # z1, z1, g -> z2, z2
    ("reduce", 2, 0),
    ("sums", 0, 0),
    ("factor", 0, 0),
    ("convolution_backward", 5, 2),  # and z2, z2
    ("hidden_backward", 4, 2),
    ("sums", 0, 0),
    ("convolution_backward", 8, 4),  # and zd, zd
    ("input_backward", 6, 1),
    ("parameters", 0, 0),
]
# NAS-Bench-201's candidates, BN-free pool; c1, c3: outputs of both convolutions, C1, C3: gradients of their inputs.
NASBENCH_FORWARD = [
    ("convolution", 1, 2),  # x -> c1, c3
    ("statistics", 0, 0),
    ("combine", 3, 1),  # x, c1, c3 -> y
]
NASBENCH_BACKWARD = [
    ("convolution", 2, 2),  # x, g -> c1, c3 and their sums
    ("reduce", 2, 0),
    ("sums", 0, 0),
    ("factor", 0, 0),
    ("convolution_backward", 4, 2),  # g, c1, c3, x -> gradients of c1 and c3
    ("convolution", 2, 2),  # -> C1, C3
    ("input_backward", 4, 1),  # C1, C3, x, g -> grad_x
    ("parameters", 0, 0),
]
NASBENCH = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
# Stride 2, in activations of y: x and grad_x are four. f: FactorizedReduce's output, F: the gradient of its input.
STRIDED_FORWARD = [
    ("convolution", 4, 5),  # and f
    ("statistics", 0, 0),
    ("convolution", 2, 2),
    ("statistics", 0, 0),
    ("combine", 9, 1),
]
STRIDED_BACKWARD = [
    ("convolution", 5, 3),  # x, g -> z1, z1, f
    ("convolution", 3, 0),
    ("reduce", 5, 0),
    ("sums", 0, 0),
    ("factor", 0, 0),
    ("convolution_backward", 3, 2),
    ("hidden_backward", 4, 2),
    ("sums", 0, 0),
    ("convolution_backward", 10, 5),  # g, z1', z1', z1, z1, f, x -> d x 4, gradient of f
    ("convolution", 1, 4),  # gradient of f -> F
    ("input_backward", 13, 4),  # d x 4, F, x, g -> grad_x
    ("parameters", 0, 0),
]


WHOLE = 64  # channels of a block in backward (csrc/cuda/mixed/choice.h)
DEPTHWISE = 9 + 25 + 9 + 25 + 9 + 25  # taps of the six depthwise convolutions
PRODUCTS = 6  # 1x1 convolutions
FINAL = 4  # of which a candidate's last


def splits(c: int, tiles: int) -> int:
    """Blocks that share the tiles of one unit of backward, each with partial gradients of its own."""
    parts = -(-c // WHOLE)
    units = 4 * (1 if parts == 1 else parts + parts**2)
    return min(max(264 // units, 1), tiles)


def moved(n: int, c: int, h: int, w: int, bytes_of: int) -> float:
    """All that one edge with the eight DARTS candidates moves, forward and backward, at stride 1, in activations."""
    plan = FORWARD + (BACKWARD if c <= WHOLE else WIDE_BACKWARD)
    positions = n * h * w
    small = h <= 4 and w <= 4  # four images to a tile
    tiles = -(-n // 4) if small else n * -(-h // 8) * -(-w // 8)
    sums = n if small else tiles  # each image of a tile has its own
    float32 = 4 / bytes_of  # of the numbers that are float32 whatever x is
    products, depthwise = PRODUCTS * c / positions, DEPTHWISE / positions
    return (
        sum(loaded + stored for _, loaded, stored in plan)
        # read forward, twice backward, the depthwise ones once more, and gradients written
        + 4 * products
        + 5 * depthwise
        # partial gradients, written and read
        + 2 * splits(c, tiles) * (products + depthwise) * float32
        # pairs of sums: of 8 BNs written and read forward, of 7 terms written and read twice backward, and of the BNs
        # of 2 hidden activations, written and read
        + (8 * 2 + 7 * 3 + 2 * 2) * 2 * sums / positions * float32
        # statistics and corrections of BNs, a pair for each channel and launch that uses one
        + 56 * 2 / positions * float32
    )

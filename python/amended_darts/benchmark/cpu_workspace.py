"""Memory that the CPU's float32 kernels lease for a call (csrc/cpu/fused), and keep for the next.

A test compares every figure with what the library really holds.
"""

from __future__ import annotations

from amended_darts.benchmark.kernel_call import KernelCall
from amended_darts_ext.candidates import Candidate

_FORWARD_BLOCKS = 32
_BACKWARD_BLOCKS = (4, 32)


def leased_floats(call: KernelCall, vector: int) -> tuple[int, int]:
    """Floats of the memory that passes over the images share, and of each worker's own.

    Args:
        vector: lanes of the instruction set in use.
    """
    return _Sizes(call, vector).floats()


def _take(floats: int) -> int:
    return (floats + 15) // 16 * 16  # pieces begin on cache lines


class _Sizes:
    def __init__(self, call: KernelCall, vector: int) -> None:
        self.call = call
        self.vector = vector
        self.in_lanes = -(-call.channels // vector) * vector
        self.out_lanes = -(-call.out_channels // vector) * vector
        self.in_pixels = call.height * call.width
        self.out_pixels = call.out_height * call.out_width
        self.convolutions = call.convolutions()
        self.halo = max((1 if each.kind == "skip" else each.padding for each, _ in self.convolutions), default=0)
        self.layer = _take(call.images * self.out_lanes * self.out_pixels)  # one layer's output for the whole batch

    def floats(self) -> tuple[int, int]:
        return (self._backward_shared() if self.call.backward else self._forward_shared()), self._scratch()

    def _forward_shared(self) -> int:
        call = self.call
        blocks = min(call.images, _FORWARD_BLOCKS)
        norms = sum(candidate.num_norms(call.stride, call.pool_norm) for candidate in call.candidates)
        layers = (0 if call.kept else len(self.convolutions)) + call.has("max_pool") + call.has("avg_pool")
        return layers * self.layer + norms * _take(2 * 2 * blocks * self.out_lanes)

    def _backward_shared(self) -> int:
        call = self.call
        slots = sum(layers for _, layers in self.convolutions)
        double = sum(layers > 1 for _, layers in self.convolutions)
        largest = max(self._grads(outer=True), self._grads(outer=False))
        low, high = _BACKWARD_BLOCKS
        fit = call.images * self.in_lanes * self.in_pixels // largest if largest > 0 else high
        blocks = min(call.images, max(low, min(fit, high)))
        rows = call.images if call.per_sample else blocks
        sums = call.edges + 2 * double  # of gradients by edge; of a first layer's
        for candidate in call.candidates:
            shared = candidate.kind in ("max_pool", "avg_pool") or (candidate.kind == "skip" and call.stride == 1)
            sums += call.edges if shared else 1
        partials = _take(blocks * largest) if call.need_params else 0
        return (double if call.kept else slots) * self.layer + partials + sums * _take(2 * rows * self.out_lanes)

    def _grads(self, outer: bool) -> int:
        """Floats of a block's parameter gradients: of every branch's last layer, or of the first ones of two."""
        return sum(self._layer_grads(candidate) for candidate, layers in self.convolutions if outer or layers > 1)

    def _layer_grads(self, candidate: Candidate) -> int:
        matrix = self.call.channels * self.out_lanes
        if candidate.kind == "depthwise":
            return self.in_lanes * candidate.kernel**2 + matrix
        if candidate.kind == "dense":
            return candidate.kernel**2 * matrix
        return (2 if self.call.out_channels > 1 else 1) * matrix

    def _scratch(self) -> int:
        call = self.call
        image = _take(self.in_lanes * self.in_pixels)
        image_halo = _take(self.in_lanes * (call.height + 2 * self.halo) * call.width)
        gathered = _take(self.in_lanes * self.out_pixels)
        gathered_halo = _take(self.in_lanes * (call.out_height + 2 * self.halo) * call.out_width)
        out = _take(self.out_lanes * self.out_pixels)
        pool = _take(6 * call.width * self.vector)
        if not call.backward:
            return image + image_halo + gathered_halo + gathered + out + pool
        return 3 * image + image_halo + 2 * gathered_halo + gathered + 4 * out + pool

"""Memory that the CUDA kernels take from PyTorch's allocator during a call in float32 (csrc/cuda/mixed)."""

from __future__ import annotations

from amended_darts.benchmark.kernel_call import KernelCall

_WHOLE = 64  # channels up to which backward holds a convolution in shared memory
_CONVOLUTIONS, _TERMS, _EDGES, _BLOCKS = 64, 160, 64, 264


def workspace_bytes(call: KernelCall) -> tuple[int, int]:
    """Bytes at the peak of a call: those of the first set of launches, which no later one exceeds. First what is
    proportional to the batch, then what does not depend on it."""
    sizes = _Sizes(call)
    if not call.backward:
        return 4 * sizes.forward(), 0
    return 4 * sizes.backward(), 4 * sizes.parameters()


class _Sizes:
    def __init__(self, call: KernelCall) -> None:
        self.call = call
        pixels = call.out_height * call.out_width
        side = 4 if call.out_height <= 4 and call.out_width <= 4 else 8
        tiles = -(-call.out_height // side) * -(-call.out_width // side)
        self.output = call.images * call.out_channels * pixels
        self.partial = 2 * call.out_channels * call.images * tiles
        self.first = call.convolutions()
        self.second = sum(layers > 1 for _, layers in self.first)
        shared = sum(each.kind in ("max_pool", "avg_pool") for each in call.candidates)
        shared += call.has("skip") and call.stride == 1
        self.terms = shared + len(self.first)
        self.edges = self._at_once()

    def forward(self) -> int:
        layers = len(self.first) + self.second
        pools = self.call.has("max_pool") + self.call.has("avg_pool") if self.call.pool_norm else 0
        outputs = 0 if self.call.kept else self.edges * layers
        return outputs * self.output + (self.edges * layers + pools) * self.partial

    def backward(self) -> int:
        call = self.call
        inside = call.need_x or call.need_params
        wide = call.out_channels > _WHOLE
        stored = sum(2 if layers > 1 and wide else 1 for c, layers in self.first if c.kind != "depthwise" or layers > 1)
        stored += sum(wide for c, layers in self.first if c.kind == "depthwise" and layers == 1)
        outputs = 0 if call.kept else stored
        partials = self.terms
        if inside:
            outputs += 2 * self.second + (len(self.first) if call.need_x else 0)
            partials += self.second
        transposed = sum(c.kind != "depthwise" for c, _ in self.first) if call.need_x else 0
        image = call.images * call.channels * call.height * call.width
        per_edge = outputs * self.output + partials * self.partial + transposed * image
        return self.edges * per_edge

    def parameters(self) -> int:
        """Gradients of parameters, once for each block that shares the tiles of a unit of work."""
        call = self.call
        if not call.need_params:
            return 0
        count = sum(
            a * b * c * d
            for candidate in call.candidates
            for a, b, c, d in candidate.param_shapes(call.channels, call.stride, call.out_channels)
        )
        units = max(self._units([c.kind for c, _ in self.first]), self._units(["depthwise"] * self.second), 1)
        return max(_BLOCKS // units, 1) * self.edges * count

    def _units(self, kinds: list[str]) -> int:
        """Units of work of one set of launches."""
        call = self.call
        most = max(call.channels, call.out_channels)
        rows = _WHOLE if most > 32 else 32 if most > 16 else 16
        down, across = -(-call.out_channels // rows), -(-call.channels // rows)
        units = 0
        for kind in kinds:
            if kind == "depthwise":
                units += 1 if down == 1 else across + (down * across if call.need_params else 0)
            else:
                taps = max(c.kernel**2 for c in call.candidates if c.kind == kind) if kind == "dense" else 2
                units += down * (call.need_x + (taps * across if call.need_params else 0))
        return self.edges * units

    def _at_once(self) -> int:
        """Edges of one set of launches, by the sizes of the kernels' tables."""
        limits = [self.call.edges, _EDGES]
        for most, per_edge in (
            (_CONVOLUTIONS, len(self.first)),
            (_CONVOLUTIONS, self.second),
            (_TERMS, self.terms),
            (_TERMS, len(self.call.candidates) + len(self.first)),
        ):
            if per_edge > 0:
                limits.append(most // per_edge)
        return min(limits)

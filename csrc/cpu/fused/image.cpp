#include "image.h"

#include <algorithm>

namespace amended_darts::mixed::fused {
namespace {

Planes with_halo(Carver& carver, int64_t blocks, int64_t block, int64_t halo) {
  return {carver.take(blocks * block, halo), block};
}

Correlation gather(const Geometry& g, const Layer& layer, const Tap& tap) {
  Correlation c{};
  c.tap_rows = c.tap_cols = tap.kernel;
  c.dilation = tap.dilation;
  c.stride = static_cast<int>(layer.stride);
  c.top = tap.top;
  c.left = tap.left;
  c.in_row = layer.in_w * g.width;
  c.in_w = layer.in_w;
  c.out_row = layer.out_w * g.width;
  c.out_col = g.width;
  c.out_h = layer.out_h;
  c.out_w = layer.out_w;
  return c;
}

// The tap's view of the input, at the output's size.
ConstPlanes gather_tap(const Kernels& kernels, const Geometry& g, const Layer& layer, const Tap& tap,
                       const TapWeights& weights, ConstPlanes in, Planes out) {
  if (layer.is_copy(tap)) return in;
  Correlation c = gather(g, layer, tap);
  for (int64_t b = 0; b < g.in_blocks; ++b) {
    c.in = in.at(b);
    c.out = out.at(b);
    c.weight = weights.kernel.data() + b * tap.kernel * tap.kernel * g.width;
    kernels.correlate(c);
  }
  return out;
}

// in += (or =) what reaches it from `spread`, the gradient of the gathered planes.
void spread_tap(const Kernels& kernels, const Geometry& g, const Layer& layer, const Tap& tap,
                const TapWeights& weights, ConstPlanes spread, Planes in, bool accumulate) {
  for (size_t i = 0; i < tap.phases.size(); ++i) {
    const Phase& phase = tap.phases[i];
    Correlation c{};
    c.tap_rows = static_cast<int>(phase.tap_rows.size());
    c.tap_cols = static_cast<int>(phase.tap_cols.size());
    c.dilation = phase.dilation;
    c.stride = 1;
    c.top = phase.top;
    c.left = phase.left;
    c.in_row = layer.out_w * g.width;
    c.in_w = layer.out_w;
    c.out_row = layer.stride * layer.in_w * g.width;
    c.out_col = layer.stride * g.width;
    c.out_h = (layer.in_h - phase.row + layer.stride - 1) / layer.stride;
    c.out_w = (layer.in_w - phase.col + layer.stride - 1) / layer.stride;
    c.accumulate = accumulate;
    const int64_t taps = int64_t{c.tap_rows} * c.tap_cols;
    for (int64_t b = 0; b < g.in_blocks; ++b) {
      c.in = spread.at(b);
      c.out = in.at(b) + (phase.row * layer.in_w + phase.col) * g.width;
      c.weight = weights.phases[i].data() + b * taps * g.width;
      kernels.correlate(c);
    }
  }
}

}  // namespace

Geometry::Geometry(const Shape& shape, const Plan& plan, int width_)
    : channels{shape.c, shape.out_c, width_},
      width(width_),
      in_blocks(channels.in_blocks()),
      out_blocks(channels.out_blocks()),
      h(shape.h),
      w(shape.w),
      out_h(shape.out_h()),
      out_w(shape.out_w()),
      stride(shape.stride),
      halo(plan.halo) {}

Planes take_in(Carver& carver, const Geometry& g) { return with_halo(carver, g.in_blocks, g.in_pixels() * g.width, 0); }

Planes take_out(Carver& carver, const Geometry& g) {
  return with_halo(carver, g.out_blocks, g.out_pixels() * g.width, 0);
}

Planes take_gathered(Carver& carver, const Geometry& g) {
  return with_halo(carver, g.in_blocks, g.out_pixels() * g.width, 0);
}

Planes take_in_halo(Carver& carver, const Geometry& g) {
  return with_halo(carver, g.in_blocks, g.in_halo_block(), g.halo * g.w * g.width);
}

Planes take_gathered_halo(Carver& carver, const Geometry& g) {
  return with_halo(carver, g.in_blocks, g.out_halo_block(), g.halo * g.out_w * g.width);
}

void layer_forward(const Kernels& kernels, const Geometry& g, const Layer& layer, const LayerWeights& weights,
                   ConstPlanes in, Planes gathered, Planes z) {
  for (size_t t = 0; t < layer.taps.size(); ++t) {
    const Tap& tap = layer.taps[t];
    const ConstPlanes from = gather_tap(kernels, g, layer, tap, weights.taps[t], in, gathered);
    const int64_t first = tap.out_begin / g.width, last = (tap.out_end + g.width - 1) / g.width;
    Pointwise p{};
    p.weight_row = g.channels.out_lanes();
    p.k_end = g.channels.in;
    p.in = from.data;
    p.in_block = from.block;
    p.out_block = z.block;
    p.pixels = layer.out_pixels();
    // Where two taps share a block of outputs the second keeps the lanes of the first.
    const int64_t lane = tap.out_begin % g.width;
    p.accumulate = t > 0 && tap.out_begin == 0;
    if (lane != 0) {
      p.weight = weights.taps[t].matrix.data() + first * g.width;
      p.out = z.at(first);
      p.out_blocks = 1;
      p.keep_lanes = static_cast<int>(lane);
      kernels.pointwise(p);
      p.keep_lanes = 0;
    }
    const int64_t next = first + (lane != 0 ? 1 : 0);
    if (next == last) continue;
    p.weight = weights.taps[t].matrix.data() + next * g.width;
    p.out = z.at(next);
    p.out_blocks = last - next;
    kernels.pointwise(p);
  }
}

void layer_backward(const Kernels& kernels, const Geometry& g, const Layer& layer, const LayerWeights& weights,
                    ConstPlanes in, ConstPlanes grad_z, Planes gathered, Planes spread, const LayerGrad& grad) {
  for (size_t t = 0; t < layer.taps.size(); ++t) {
    const Tap& tap = layer.taps[t];
    const int64_t first = tap.out_begin / g.width, last = (tap.out_end + g.width - 1) / g.width;
    if (grad.params != nullptr) {
      const ConstPlanes from = gather_tap(kernels, g, layer, tap, weights.taps[t], in, gathered);
      PointwiseGrad p{};
      p.grad_out = grad_z.at(first);
      p.grad_out_block = grad_z.block;
      p.grad_out_blocks = last - first;
      p.in = from.data;
      p.in_block = from.block;
      p.channels = g.channels.in;
      p.pixels = layer.out_pixels();
      p.weight_row = g.channels.out_lanes();
      p.grad_weight = grad.params + matrix_grad_offset(layer, static_cast<int>(t), g.channels) + first * g.width;
      kernels.pointwise_grad(p);
    }
    if (grad.in.data == nullptr && !(layer.depthwise && grad.params != nullptr)) continue;

    Pointwise p{};
    p.weight = weights.taps[t].transposed.data();
    p.weight_row = g.channels.in_lanes();
    p.k_begin = tap.out_begin;
    p.k_end = tap.out_end;
    p.in = grad_z.data;
    p.in_block = grad_z.block;
    p.out = spread.data;
    p.out_block = spread.block;
    p.out_blocks = g.in_blocks;
    p.pixels = layer.out_pixels();
    kernels.pointwise(p);

    if (layer.depthwise && grad.params != nullptr) {
      CorrelationGrad c{};
      c.tap_rows = c.tap_cols = tap.kernel;
      c.dilation = tap.dilation;
      c.stride = static_cast<int>(layer.stride);
      c.top = tap.top;
      c.left = tap.left;
      c.in_row = layer.in_w * g.width;
      c.in_w = layer.in_w;
      c.out_h = layer.out_h;
      c.out_w = layer.out_w;
      for (int64_t b = 0; b < g.in_blocks; ++b) {
        c.in = in.at(b);
        c.grad_out = spread.at(b);
        c.grad_weight = grad.params + b * tap.kernel * tap.kernel * g.width;
        kernels.correlate_grad(c);
      }
    }
    if (grad.in.data != nullptr) {
      spread_tap(kernels, g, layer, tap, weights.taps[t], spread, grad.in, grad.accumulate || t > 0);
    }
  }
}

}  // namespace amended_darts::mixed::fused

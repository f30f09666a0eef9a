// What the kernels of one mixed_edges call are given: plain structs, passed by value as kernel arguments.
//
// S: type of x, params, y and everything of an activation's size; A = wide_t<S>: the type of sums, statistics, weights
// and BN arguments. E edges leave the state x; a "term" is one addend of one edge's sum, a "convolution" one half of a
// separable convolution, a dilated one, a dense one or a FactorizedReduce: whatever ends in a BN of its own.
#pragma once

#include <cstdint>

#include "../../common/candidates.h"
#include "../../common/host_device.h"
#include "choice.h"

namespace amended_darts::mixed {

template <typename S>
struct Wide {
  using type = float;
};
template <>
struct Wide<double> {
  using type = double;
};
template <typename S>
using wide_t = typename Wide<S>::type;

// [N, C, H, W] in global memory, with any strides (in elements).
template <typename S>
struct View {
  S* data = nullptr;
  int64_t n = 0;
  int32_t c = 0, h = 0, w = 0;

  AMENDED_DARTS_HOST_DEVICE View<const S> read_only() const { return {data, n, c, h, w}; }
};

// An image and its tiling: 64 positions, 8 x 8 of one sample or, for small images, 4 x 4 of four.
struct Tiling {
  int32_t n = 0, h = 0, w = 0;
  int32_t samples = 1, side = 8;      // of one tile
  int32_t across = 1, per_image = 1;  // tiles in a row, tiles of an image

  AMENDED_DARTS_HOST_DEVICE int64_t tiles() const {
    return static_cast<int64_t>((n + samples - 1) / samples) * per_image;
  }
  AMENDED_DARTS_HOST_DEVICE int64_t partials() const {
    return static_cast<int64_t>(n) * per_image;
  }  // one per sample and tile

  static Tiling of(int64_t n, int64_t h, int64_t w) {
    Tiling t;
    t.n = static_cast<int32_t>(n), t.h = static_cast<int32_t>(h), t.w = static_cast<int32_t>(w);
    const TileSize size = tile_size(h, w);
    t.samples = size.samples, t.side = size.side;
    t.across = (t.w + t.side - 1) / t.side;
    t.per_image = t.across * ((t.h + t.side - 1) / t.side);
    return t;
  }
};

// One BN: a row of [B, C] each. mean null: no BN there. weight and bias null: not affine.
template <typename A>
struct Norm {
  const A* mean = nullptr;
  const A* var = nullptr;
  const A* weight = nullptr;
  const A* bias = nullptr;
};

// The factor of a term: weights[e, k], or weights[e, n, k] with `sample` apart; null: 1.
template <typename A>
struct Factor {
  const A* data = nullptr;
  int64_t sample = 0;
};

enum class Taps : uint8_t {
  depthwise,  // depthwise k x k, then 1x1: the producer of the product's second operand is the depthwise convolution
  dense,      // k x k, each tap a product of its own
  reduce,     // FactorizedReduce: two taps, (0, 0) and (1, 1), for the first and the second part of the channels
};

// ReLU, convolution, BN. Sums over a tile go to partial[(channel · N + sample) · tiles per image + tile][2].
template <typename S>
struct Convolution {
  using A = wide_t<S>;
  Taps taps = Taps::depthwise;
  uint8_t kernel = 1, dilation = 1, padding = 0, stride = 1;
  bool transposed = false;       // dense and reduce: from the gradient of the output to that of the input
  int32_t in = 0, out = 0;       // channels
  int32_t in_h = 0, in_w = 0;    // of the source
  View<const S> source;          // [N, in, in_h, in_w], x or the convolution before
  Norm<A> source_norm;           // applied with the ReLU where the source is a convolution's output
  const S* depthwise = nullptr;  // [in, k, k]
  const S* weight = nullptr;     // [out, in] or [out, in, k, k]; reduce: the first half
  const S* weight2 = nullptr;    // reduce: the second half, of channels out / 2 and up

  View<S> z;             // [N, out, OH, OW] before BN; null: not kept
  Norm<A> norm;          // of z
  A* partial = nullptr;  // forward: sum and squares about the tile's mean; backward: see `grad`; null: none
  View<const S> grad;    // backward: partial becomes the sums of grad and of grad · normalised z

  // backward
  Factor<A> factor;               // gradient of the BN's output: factor · grad
  const A* correction = nullptr;  // [out, 2]: what batch statistics take off (finish.cuh); null: given statistics
  View<S> grad_z;                 // dense and reduce: gradient of z, for the transposed convolution
  View<S> grad_in;                // depthwise: gradient of the depthwise convolution's output
  int64_t grad_depthwise = 0;     // where the parameters' gradients begin in a split's partial results
  int64_t grad_weight = 0, grad_weight2 = 0;

  AMENDED_DARTS_HOST_DEVICE int num_taps() const {
    return taps == Taps::reduce ? 2 : taps == Taps::dense ? kernel * kernel : 1;
  }
};

// One addend of an edge's output: factor · BN(value).
enum class Value : uint8_t { convolution, max_pool, avg_pool, identity };

template <typename S>
struct Term {
  using A = wide_t<S>;
  Value value = Value::identity;
  int32_t edge = 0;
  Norm<A> norm;
  Factor<A> factor;
  View<const S> z;       // value == convolution; null where the sums were made with the convolution
  A* partial = nullptr;  // backward: sums of grad and of grad · normalised value
  const A* correction = nullptr;
};

// Largest numbers of one launch's tables; longer lists take several launches.
inline constexpr int kMaxConvolutions = 64;
inline constexpr int kMaxTerms = 160;
inline constexpr int kMaxEdges = 64;

}  // namespace amended_darts::mixed

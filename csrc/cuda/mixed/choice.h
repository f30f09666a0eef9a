// Every choice that depends on the shape of a call, with its reasons. None depends on the GPU at hand: results are the
// same on all.
#pragma once

#include <algorithm>
#include <cstdint>

namespace amended_darts::mixed {

// 64 positions of a tile. Halos make square tiles the cheapest: a 5x5 depthwise convolution reads 2.25 times the
// positions of an 8 x 8 tile, 3.0 times those of 4 x 16. Images of at most 4 x 4 (late cells of small images) would
// leave three quarters of such a tile empty, so four of them share one.
struct TileSize {
  int32_t samples, side;
};
inline TileSize tile_size(int64_t h, int64_t w) { return h <= 4 && w <= 4 ? TileSize{4, 4} : TileSize{1, 8}; }

// Channels up to which one block holds a whole convolution in backward: its weights, its input and z's gradient at 64
// positions (52 KB of float32 at 64 channels), so that neither z nor the depthwise output is kept in memory. At 128
// that would be 136 KB and one block of a multiprocessor. float64, which need not be fast, has the smallest size alone.
template <typename A>
inline constexpr int kWhole = sizeof(A) == 8 ? 16 : 64;

// Rows of a product, M: the least that hold the channels, up to kWhole; wider layers take several blocks, 36 channels
// (of 64 rows) waste 44 % of a product, 48 a quarter. A fourth size would cost compile time more than it gains.
template <typename A>
inline int rows_for(int64_t channels) {
  return channels > 32 ? kWhole<A> : channels > 16 ? std::min(kWhole<A>, 32) : 16;
}

// How many blocks share the tiles of one unit of backward. Two blocks for each multiprocessor of a large GPU; more
// would write and read more partial gradients of parameters, as large as activations at 64 channels of 8 x 8, than they
// gain.
inline int splits_for(int64_t units, int64_t tiles) {
  constexpr int64_t kBlocks = 264;
  return static_cast<int>(std::clamp<int64_t>(kBlocks / std::max<int64_t>(units, 1), 1, tiles));
}

}  // namespace amended_darts::mixed

// The pools of a state, and the sums over a tile that BNs need.
#pragma once

#include "../../common/pool.h"
#include "tile.cuh"

namespace amended_darts::mixed {

// `x` is the whole image; `plane` points to a sample's channel.
template <typename S, typename A = wide_t<S>>
__device__ inline Pooled<A, int> pool(const View<const S>& x, const S* plane, const Window<int>& window) {
  return pool<A>(window, [&](int row, int column) {
    return load(plane + static_cast<int64_t>(row) * x.h + static_cast<int64_t>(column) * x.w);
  });
}

// Positions of one sample in a tile.
__device__ inline int positions_in(const Tiling& tiling, const TileOrigin& origin) {
  const int rows = tiling.h - origin.y, columns = tiling.w - origin.x;
  return (rows < tiling.side ? rows : tiling.side) * (columns < tiling.side ? columns : tiling.side);
}

// partial[i] = the sum, and the sum of squares about the mean, of one channel's values in a tile. Every thread of a
// warp calls; a thread's own channel may not exist.
template <typename A>
__device__ inline void store_statistics(const Tiling& tiling, const TileOrigin& origin, const Place& place, int c,
                                        int channels, const A (&value)[kSegment], A* partial) {
  A sum = A(0);
#pragma unroll
  for (int j = 0; j < kSegment; ++j) sum += j < place.count ? value[j] : A(0);
  sum = sum_of_sample(sum, tiling.samples);
  const A mean = sum / static_cast<A>(positions_in(tiling, origin));
  A squares = A(0);
#pragma unroll
  for (int j = 0; j < kSegment; ++j) squares += j < place.count ? (value[j] - mean) * (value[j] - mean) : A(0);
  squares = sum_of_sample(squares, tiling.samples);
  if (threadIdx.x % (kSegments / tiling.samples) != 0 || c >= channels || place.n >= tiling.n) return;
  A* to = partial + 2 * partial_index(tiling, c, place.n, origin.index);
  store(to, sum);
  store(to + 1, squares);
}

// partial[i] = the sums of grad and of grad · normalised value, likewise.
template <typename A>
__device__ inline void store_sums(const Tiling& tiling, const TileOrigin& origin, const Place& place, int c,
                                  int channels, const A (&grad)[kSegment], const A (&normalised)[kSegment],
                                  A* partial) {
  A sum = A(0), dot = A(0);
#pragma unroll
  for (int j = 0; j < kSegment; ++j) {
    sum += j < place.count ? grad[j] : A(0);
    dot += j < place.count ? grad[j] * normalised[j] : A(0);
  }
  sum = sum_of_sample(sum, tiling.samples);
  dot = sum_of_sample(dot, tiling.samples);
  if (threadIdx.x % (kSegments / tiling.samples) != 0 || c >= channels || place.n >= tiling.n) return;
  A* to = partial + 2 * partial_index(tiling, c, place.n, origin.index);
  store(to, sum);
  store(to + 1, dot);
}

}  // namespace amended_darts::mixed

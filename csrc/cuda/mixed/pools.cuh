// 3x3 pools with one pixel of padding that takes no part, and the sums of their BNs.
#pragma once

#include "tile.cuh"

namespace amended_darts::mixed {

// The part of a window that lies inside the image, around output (y, x).
struct Window {
  int y0, y1, x0, x1;
  __device__ Window(int y, int x, int stride, int h, int w)
      : y0(y * stride > 0 ? y * stride - 1 : 0),
        y1(y * stride + 2 < h ? y * stride + 2 : h),
        x0(x * stride > 0 ? x * stride - 1 : 0),
        x1(x * stride + 2 < w ? x * stride + 2 : w) {}
  __device__ int count() const { return (y1 - y0) * (x1 - x0); }
};

template <typename A>
struct Pooled {
  A max, average;
  int y,
      x;  // where the largest is: the first in row-major order; a NaN counts as larger than everything, the last wins
};

// `x` is the whole image; `plane` points to a sample's channel.
template <typename S, typename A = wide_t<S>>
__device__ inline Pooled<A> pool(const View<const S>& x, const S* plane, const Window& window) {
  Pooled<A> result{-INFINITY, A(0), window.y0, window.x0};
  for (int y = window.y0; y < window.y1; ++y)
    for (int column = window.x0; column < window.x1; ++column) {
      const A v = load(plane + static_cast<int64_t>(y) * x.h + static_cast<int64_t>(column) * x.w);
      result.average += v;
      if (v > result.max || v != v) result.max = v, result.y = y, result.x = column;
    }
  result.average /= static_cast<A>(window.count());
  return result;
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

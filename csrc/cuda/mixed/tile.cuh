// Positions of a block: 64 of an image in 16 segments of four, and 16 channels at a time.
//
// A block has 256 threads. Work on [16 channels][64 positions] gives each thread one channel and one segment; products
// give it one segment and every 16th channel (product.cuh). Segments never leave a row.
#pragma once

#include <cuda_runtime.h>

#include <type_traits>

#include "../../common/norm.h"
#include "../shared_memory.h"
#include "call.h"

namespace amended_darts::mixed {

inline constexpr int kThreads = 256;
inline constexpr int kPositions = 64;
inline constexpr int kChannels = 16;  // of a step
inline constexpr int kSegments = 16;
inline constexpr int kSegment = 4;

__host__ __device__ inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

// Numbers of an activation's type, as numbers to compute with.
template <typename S>
__device__ inline wide_t<S> load(const S* p) {
  return static_cast<wide_t<S>>(*p);
}
template <typename S>
__device__ inline void store(S* p, wide_t<S> value) {
  *p = static_cast<S>(value);
}

// The first position of a segment.
struct Place {
  int n, y, x;
  int count;                      // positions of it inside the image: 0 to 4
  int local_n, local_y, local_x;  // within the tile
};

struct TileOrigin {
  int n, y, x;
  int index;  // of the tile in its image
};

__device__ inline TileOrigin tile_origin(const Tiling& tiling, int64_t tile) {
  const int index = static_cast<int>(tile % tiling.per_image);
  return {static_cast<int>(tile / tiling.per_image) * tiling.samples, index / tiling.across * tiling.side,
          index % tiling.across * tiling.side, index};
}

__device__ inline Place place_of(const Tiling& tiling, const TileOrigin& origin, int segment) {
  Place place;
  const bool small = tiling.samples > 1;
  place.local_n = small ? segment / 4 : 0;
  place.local_y = small ? segment % 4 : segment / 2;
  place.local_x = small ? 0 : segment % 2 * kSegment;
  place.n = origin.n + place.local_n;
  place.y = origin.y + place.local_y;
  place.x = origin.x + place.local_x;
  const int left = tiling.w - place.x;
  place.count = place.n < tiling.n && place.y < tiling.h && left > 0 ? (left < kSegment ? left : kSegment) : 0;
  return place;
}

// Index of a sum over the positions of one sample in a tile, for one channel.
__device__ inline int64_t partial_index(const Tiling& tiling, int channel, int n, int tile_in_image) {
  return (static_cast<int64_t>(channel) * tiling.n + n) * tiling.per_image + tile_in_image;
}

template <typename S>
__device__ inline int64_t offset(const View<S>& view, int n, int c, int y, int x) {
  return n * view.n + static_cast<int64_t>(c) * view.c + static_cast<int64_t>(y) * view.h +
         static_cast<int64_t>(x) * view.w;
}

// Four neighbours of a row; zeros outside the image.
template <typename S, typename A = wide_t<std::remove_const_t<S>>>
__device__ inline void load_segment(const View<S>& view, const Place& place, int c, A (&value)[kSegment]) {
  const S* from = view.data + offset(view, place.n, c, place.y, place.x);
#pragma unroll
  for (int j = 0; j < kSegment; ++j) value[j] = j < place.count ? load(from + j * view.w) : A(0);
}

template <typename S, typename A = wide_t<S>>
__device__ inline void store_segment(const View<S>& view, const Place& place, int c, const A (&value)[kSegment]) {
  S* to = view.data + offset(view, place.n, c, place.y, place.x);
#pragma unroll
  for (int j = 0; j < kSegment; ++j)
    if (j < place.count) store(to + j * view.w, value[j]);
}

// Sum over the threads of a warp that hold the same sample's segments, 16 / samples neighbours; every one gets it.
template <typename A>
__device__ inline A sum_of_sample(A value, int samples) {
  for (int apart = kSegments / samples / 2; apart > 0; apart /= 2) value += __shfl_xor_sync(0xffffffffu, value, apart);
  return value;
}

// Of a BN: its weight over the deviation.
template <typename A>
__device__ inline A scale_of(const Norm<A>& norm, int c, A eps) {
  const A scale = reciprocal_deviation(load(norm.var + c), eps);
  return norm.weight == nullptr ? scale : scale * load(norm.weight + c);
}

template <typename A>
__device__ inline Affine<A> affine_of(const Norm<A>& norm, int c, A eps) {
  Affine<A> affine;
  if (norm.mean == nullptr) return affine;
  affine.mean = load(norm.mean + c);
  affine.scale = scale_of(norm, c, eps);
  if (norm.bias != nullptr) affine.bias = load(norm.bias + c);
  return affine;
}

// From [channels][2]; none where batch statistics take nothing off.
template <typename A>
__device__ inline Correction<A> correction_of(const A* corrections, int c) {
  if (corrections == nullptr) return {};
  return {load(corrections + 2 * c), load(corrections + 2 * c + 1)};
}

template <typename A>
__device__ inline A factor_of(const Factor<A>& factor, int n) {
  return factor.data == nullptr ? A(1) : load(factor.data + n * factor.sample);
}

}  // namespace amended_darts::mixed

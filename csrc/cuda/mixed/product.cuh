// Matrix products of a block: [M rows] x [64 positions] += [M rows][depth] · [depth][64 positions], the second operand
// in shared memory with pitch kPitch. A thread holds M / 16 neighbouring rows of one segment of positions.
#pragma once

#include "tile.cuh"

namespace amended_darts::mixed {

template <typename A>
struct alignas(4 * sizeof(A)) Four {
  A value[4];
};

__device__ inline int segment_of_thread() { return threadIdx.x % kSegments; }
template <int M>
__device__ inline int row_of_thread(int i) {
  return threadIdx.x / kSegments * (M / 16) + i;
}

// weight(k, row): an element of the first operand.
template <int M, typename A, typename Weight>
__device__ inline void multiply(const A* positions, int depth, const Weight& weight, A (&acc)[M / 16][kSegment]) {
  const A* column = positions + segment_of_thread() * kSegment;
#pragma unroll 4
  for (int k = 0; k < depth; ++k) {
    const Four<A> d = *reinterpret_cast<const Four<A>*>(column + k * kPitch);
#pragma unroll
    for (int i = 0; i < M / 16; ++i) {
      const A w = weight(k, row_of_thread<M>(i));
#pragma unroll
      for (int j = 0; j < kSegment; ++j) acc[i][j] += w * d.value[j];
    }
  }
}

// An element of the matrix that a tap multiplies with: row and column are channels of the result and of the source.
template <typename S>
__device__ inline wide_t<S> weight_at(const Convolution<S>& conv, int tap, int row, int column) {
  if (row >= conv.out || column >= conv.in) return wide_t<S>(0);
  const int64_t co = conv.transposed ? column : row, ci = conv.transposed ? row : column;
  const int outs = conv.transposed ? conv.in : conv.out, ins = conv.transposed ? conv.out : conv.in;
  if (conv.taps == Taps::reduce) {
    const int half = outs / 2;
    if ((co >= half) != (tap == 1)) return wide_t<S>(0);
    return load((tap == 0 ? conv.weight : conv.weight2 - static_cast<int64_t>(half) * ins) + co * ins + ci);
  }
  return load(conv.weight + (co * ins + ci) * conv.num_taps() + tap);
}

// One channel of the source at the positions of a segment, as a tap of a dense convolution sees it.
template <typename S, typename A = wide_t<S>>
__device__ inline void load_tap(const Convolution<S>& conv, int tap, int c, const Place& place, A eps,
                                A (&value)[kSegment]) {
  const int dy = conv.taps == Taps::reduce ? tap : tap / conv.kernel - conv.padding;
  const int dx = conv.taps == Taps::reduce ? tap : tap % conv.kernel - conv.padding;
  const Affine<A> affine = affine_of(conv.source_norm, c < conv.in ? c : 0, eps);
#pragma unroll
  for (int j = 0; j < kSegment; ++j) {
    int y = place.y, x = place.x + j;
    bool inside = c < conv.in && j < place.count;
    if (conv.transposed) {
      y -= dy, x -= dx;
      inside = inside && y % conv.stride == 0 && x % conv.stride == 0;
      y /= conv.stride, x /= conv.stride;
    } else {
      y = y * conv.stride + dy, x = x * conv.stride + dx;
    }
    inside = inside && y >= 0 && x >= 0 && y < conv.in_h && x < conv.in_w;
    const A v = inside ? load(conv.source.data + offset(conv.source, place.n, c, y, x)) : A(0);
    // Outside, the convolution pads after BN and ReLU.
    value[j] = conv.transposed || !inside ? v : relu(conv.source_norm.mean == nullptr ? v : affine(v));
  }
}

}  // namespace amended_darts::mixed

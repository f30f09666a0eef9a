// Matrix products of a block, operands in shared memory. Two ways of the same interface:
//
//   exact   products and sums in A, float32 or float64: finite differences need it
//   tensor  tensor cores: operands of 16 bits, or float32 rounded to TF32, sums in float32
//
// A result of [M rows][64 positions] is handed to threads as they hold work elsewhere: M / 16 neighbouring rows of one
// segment of positions.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>

#include "tile.cuh"

namespace amended_darts::mixed {

enum class Arithmetic : uint8_t { exact, tensor };

// The type of operands in shared memory.
template <typename S, Arithmetic arithmetic>
struct OperandOf {
  using type = wide_t<S>;
};
template <>
struct OperandOf<__nv_bfloat16, Arithmetic::tensor> {
  using type = __nv_bfloat16;
};
template <>
struct OperandOf<__half, Arithmetic::tensor> {
  using type = __half;
};

// Of rows of 64 positions, and of matrices with M in a row: aligned for tensor cores, and rows begin in other banks.
template <typename O>
inline constexpr int kPadding = sizeof(O) == 2 ? 8 : 4;
template <typename O>
inline constexpr int kPitch = kPositions + kPadding<O>;
template <typename O, int M>
inline constexpr int kMatrixPitch = M + kPadding<O>;

template <typename A>
struct alignas(4 * sizeof(A)) Four {
  A value[4];
};

__device__ inline int segment_of_thread() { return threadIdx.x % kSegments; }
template <int M>
__device__ inline int row_of_thread(int i) {
  return threadIdx.x / kSegments * (M / 16) + i;
}

// How the first operand, the matrix, lies in memory.
enum class Matrix : uint8_t { by_columns, by_rows };  // [depth][rows] or [rows][depth]

template <int M, typename S, Arithmetic arithmetic>
struct Product;

// [M rows][64 positions] += [M rows][depth] · [depth][64 positions]
template <int M, typename S>
struct Product<M, S, Arithmetic::exact> {
  using A = wide_t<S>;
  A acc[M / 16][kSegment] = {};

  template <Matrix layout>
  __device__ void add(const A* matrix, const A* positions, int depth) {
    const A* column = positions + segment_of_thread() * kSegment;
#pragma unroll 4
    for (int k = 0; k < depth; ++k) {
      const Four<A> d = *reinterpret_cast<const Four<A>*>(column + k * kPitch<A>);
#pragma unroll
      for (int i = 0; i < M / 16; ++i) {
        const int row = row_of_thread<M>(i);
        const A w =
            layout == Matrix::by_columns ? matrix[k * kMatrixPitch<A, M> + row] : matrix[row * kMatrixPitch<A, M> + k];
#pragma unroll
        for (int j = 0; j < kSegment; ++j) acc[i][j] += w * d.value[j];
      }
    }
  }

  __device__ void finish(A*) const {}

  // A thread's i-th row, at its segment.
  __device__ void row(const A*, int i, A (&to)[kSegment]) const {
#pragma unroll
    for (int j = 0; j < kSegment; ++j) to[j] = acc[i][j];
  }
};

// What tensor cores take: 16 x 16 x 16 of 16-bit types, 16 x 16 x 8 of TF32.
template <typename O>
struct TensorTypes {
  using type = O;
  static constexpr int kDepth = 16;
  template <typename Fragment>
  __device__ static void round(Fragment&) {}
};
template <>
struct TensorTypes<float> {
  using type = nvcuda::wmma::precision::tf32;
  static constexpr int kDepth = 8;
  template <typename Fragment>
  __device__ static void round(Fragment& fragment) {
#pragma unroll
    for (int i = 0; i < fragment.num_elements; ++i) fragment.x[i] = nvcuda::wmma::__float_to_tf32(fragment.x[i]);
  }
};

// ROWS x COLUMNS tiles of 16 x 16, dealt out to the eight warps.
template <int ROWS, int COLUMNS, typename O>
struct TensorTiles {
  using T = TensorTypes<O>;
  using Sum = nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, T::kDepth, float>;
  static constexpr int kTiles = ROWS * COLUMNS, kEach = kTiles < 8 ? 1 : kTiles / 8;
  Sum sums[kEach];

  __device__ TensorTiles() {
#pragma unroll
    for (int i = 0; i < kEach; ++i) nvcuda::wmma::fill_fragment(sums[i], 0.0f);
  }

  // Layouts as wmma names them; a and b point to the first row and column, pitches are of their memory.
  template <typename LayoutA, typename LayoutB>
  __device__ void add(const O* a, int pitch_a, const O* b, int pitch_b, int depth) {
    namespace wmma = nvcuda::wmma;
    const int warp = threadIdx.x / 32;
    if (warp >= kTiles) return;
#pragma unroll 1
    for (int k = 0; k < depth; k += T::kDepth)
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        const int row = (warp + 8 * i) % ROWS * 16, column = (warp + 8 * i) / ROWS * 16;
        wmma::fragment<wmma::matrix_a, 16, 16, T::kDepth, typename T::type, LayoutA> left;
        wmma::fragment<wmma::matrix_b, 16, 16, T::kDepth, typename T::type, LayoutB> right;
        constexpr bool kRowsA = std::is_same_v<LayoutA, wmma::row_major>;
        constexpr bool kRowsB = std::is_same_v<LayoutB, wmma::row_major>;
        wmma::load_matrix_sync(left, a + (kRowsA ? row * pitch_a + k : k * pitch_a + row), pitch_a);
        wmma::load_matrix_sync(right, b + (kRowsB ? k * pitch_b + column : column * pitch_b + k), pitch_b);
        T::round(left);
        T::round(right);
        wmma::mma_sync(sums[i], left, right, sums[i]);
      }
  }

  // [16 · ROWS][pitch]; all threads see it after the next barrier.
  __device__ void store(float* to, int pitch) const {
    const int warp = threadIdx.x / 32;
    if (warp >= kTiles) return;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int row = (warp + 8 * i) % ROWS * 16, column = (warp + 8 * i) / ROWS * 16;
      nvcuda::wmma::store_matrix_sync(to + row * pitch + column, sums[i], pitch, nvcuda::wmma::mem_row_major);
    }
  }
};

template <int M, typename S>
struct Product<M, S, Arithmetic::tensor> {
  using O = typename OperandOf<S, Arithmetic::tensor>::type;
  TensorTiles<M / 16, kPositions / 16, O> tiles;

  template <Matrix layout>
  __device__ void add(const O* matrix, const O* positions, int depth) {
    namespace wmma = nvcuda::wmma;
    using Layout = std::conditional_t<layout == Matrix::by_columns, wmma::col_major, wmma::row_major>;
    tiles.template add<Layout, wmma::row_major>(matrix, kMatrixPitch<O, M>, positions, kPitch<O>, depth);
  }

  // The result goes by way of shared memory, [M][kPitch<float>]. All threads of the block call.
  __device__ void finish(float* scratch) const {
    __syncthreads();
    tiles.store(scratch, kPitch<float>);
    __syncthreads();
  }

  __device__ void row(const float* scratch, int i, float (&to)[kSegment]) const {
#pragma unroll
    for (int j = 0; j < kSegment; ++j)
      to[j] = scratch[row_of_thread<M>(i) * kPitch<float> + segment_of_thread() * kSegment + j];
  }
};

// [M rows][M columns] += [M rows][64 positions] · [M columns][64 positions] transposed: gradients of weights.
template <int M, typename S, Arithmetic arithmetic>
struct OuterProduct;

template <int M, typename S>
struct OuterProduct<M, S, Arithmetic::exact> {
  using A = wide_t<S>;
  A acc[M / 16][M / 16] = {};

  __device__ void add(const A* left, const A* right) {
    const int a = threadIdx.x / 16, b = threadIdx.x % 16;
#pragma unroll(M == 64 ? 2 : 1)
    for (int p = 0; p < kPositions; p += 4) {
      Four<A> l[M / 16], r[M / 16];
#pragma unroll
      for (int i = 0; i < M / 16; ++i) {
        l[i] = *reinterpret_cast<const Four<A>*>(left + (a + 16 * i) * kPitch<A> + p);
        r[i] = *reinterpret_cast<const Four<A>*>(right + (b + 16 * i) * kPitch<A> + p);
      }
#pragma unroll
      for (int i = 0; i < M / 16; ++i)
#pragma unroll
        for (int j = 0; j < M / 16; ++j)
#pragma unroll
          for (int q = 0; q < 4; ++q) acc[i][j] += l[i].value[q] * r[j].value[q];
    }
  }

  // body(row, column, value) for each element, by the thread that holds it
  template <typename Body>
  __device__ void for_each(A*, const Body& body) const {
#pragma unroll
    for (int i = 0; i < M / 16; ++i)
#pragma unroll
      for (int j = 0; j < M / 16; ++j) body(threadIdx.x / 16 + 16 * i, threadIdx.x % 16 + 16 * j, acc[i][j]);
  }
};

template <int M, typename S>
struct OuterProduct<M, S, Arithmetic::tensor> {
  using O = typename OperandOf<S, Arithmetic::tensor>::type;
  TensorTiles<M / 16, M / 16, O> tiles;

  __device__ void add(const O* left, const O* right) {
    namespace wmma = nvcuda::wmma;
    tiles.template add<wmma::row_major, wmma::col_major>(left, kPitch<O>, right, kPitch<O>, kPositions);
  }

  template <typename Body>
  __device__ void for_each(float* scratch, const Body& body) const {
    __syncthreads();
    tiles.store(scratch, kPitch<float>);
    __syncthreads();
    for (int i = threadIdx.x; i < M * M; i += kThreads) body(i / M, i % M, scratch[i / M * kPitch<float> + i % M]);
  }
};

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

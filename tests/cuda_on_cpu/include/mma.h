// <mma.h> for g++: matrix products of a warp. Lane 0 holds the whole of a fragment and does the work; the warp meets at
// every product, as on a GPU, and elements of fragments may be read and written in loops over num_elements alone.
#pragma once

#include <cstdint>
#include <cstring>

#include "cuda_on_cpu/builtins.h"

namespace nvcuda::wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major, mem_col_major };
namespace precision {
struct tf32 {};
}  // namespace precision

template <typename T>
struct Element {
  using type = T;
};
template <>
struct Element<precision::tf32> {
  using type = float;
};

template <typename Use, int M, int N, int K, typename T, typename Layout = void>
struct fragment {
  static constexpr bool kIsA = __is_same(Use, matrix_a), kIsB = __is_same(Use, matrix_b);
  static constexpr int rows = kIsB ? K : M, columns = kIsA ? K : N, num_elements = rows * columns;
  typename Element<T>::type x[num_elements];  // [rows][columns]
};

inline bool first_lane() { return ::cuda_on_cpu::self().lane == 0; }

template <typename Use, int M, int N, int K, typename T, typename Layout, typename From>
inline void load_matrix_sync(fragment<Use, M, N, K, T, Layout>& to, const From* from, unsigned pitch) {
  if (!first_lane()) return;
  for (int r = 0; r < to.rows; ++r)
    for (int c = 0; c < to.columns; ++c)
      to.x[r * to.columns + c] = __is_same(Layout, row_major) ? from[r * pitch + c] : from[c * pitch + r];
}

template <int M, int N, int K, typename T>
inline void store_matrix_sync(T* to, const fragment<accumulator, M, N, K, T>& from, unsigned pitch, layout_t layout) {
  if (!first_lane()) return;
  for (int r = 0; r < M; ++r)
    for (int c = 0; c < N; ++c) to[layout == mem_row_major ? r * pitch + c : c * pitch + r] = from.x[r * N + c];
}

template <int M, int N, int K, typename T>
inline void fill_fragment(fragment<accumulator, M, N, K, T>& to, T value) {
  for (T& x : to.x) x = value;
}

template <int M, int N, int K, typename T, typename LayoutA, typename LayoutB>
inline void mma_sync(fragment<accumulator, M, N, K, float>& d, const fragment<matrix_a, M, N, K, T, LayoutA>& a,
                     const fragment<matrix_b, M, N, K, T, LayoutB>& b, const fragment<accumulator, M, N, K, float>& c) {
  __syncwarp();
  if (!first_lane()) return;
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < N; ++j) {
      float sum = c.x[i * N + j];
      for (int k = 0; k < K; ++k) sum += static_cast<float>(a.x[i * K + k]) * static_cast<float>(b.x[k * N + j]);
      d.x[i * N + j] = sum;
    }
}

// Ten bits of mantissa, to the nearest.
inline float __float_to_tf32(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7f800000u) != 0x7f800000u) bits = (bits + 0x1000u) & ~0x1fffu;
  std::memcpy(&value, &bits, sizeof bits);
  return value;
}

}  // namespace nvcuda::wmma

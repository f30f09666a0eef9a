// The perturbation kernels: all tensors of a network in one launch. Torch-free. Not yet run on a GPU.
//
// A launch gets its tensors as a table in the kernel's arguments (up to 32,764 bytes of them since CUDA 12.1 on sm_70
// and newer), so that nothing is copied to the device first and a launch can be captured in a CUDA graph. Each block
// works on one chunk of one tensor; it finds the tensor by bisection in the table of first chunks.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "../common/perturbation.h"
#include "block_sum.cuh"

namespace amended_darts::perturbation {

inline constexpr int kThreads = 256;
inline constexpr int kPerThread = 16;
inline constexpr int kChunk = kThreads * kPerThread;  // elements of a block
inline constexpr int kMaxTensors = 600;               // (3 pointers + size + first chunk) x 600 < 32,764 bytes

// Tensors of one launch: `arrays` pointers each.
template <typename T, int arrays>
struct Table {
  T* data[arrays][kMaxTensors];
  int64_t size[kMaxTensors];
  int32_t first_chunk[kMaxTensors + 1];  // the last entry is the number of chunks
  int32_t count;
};

// The part of a tensor that a block works on.
struct Chunk {
  int tensor;
  int64_t begin;
  int64_t end;
};

template <typename T, int arrays>
__device__ inline Chunk find_chunk(const Table<T, arrays>& table, int block) {
  int low = 0, high = table.count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (table.first_chunk[middle] <= block)
      low = middle;
    else
      high = middle;
  }
  const int64_t begin = static_cast<int64_t>(block - table.first_chunk[low]) * kChunk;
  const int64_t end = begin + kChunk < table.size[low] ? begin + kChunk : table.size[low];
  return {low, begin, end};
}

// Four numbers of T, for loads and stores of 16 or 32 bytes.
template <typename T>
struct alignas(4 * sizeof(T)) Four {
  T value[4];
};

template <typename T>
__device__ inline bool aligned(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % alignof(Four<T>) == 0;
}

// out[i] = op(a[i], b[i]) over a chunk; a and b are read before out is written, element by element.
template <typename T, typename Op>
__device__ inline void for_each_pair(const T* a, const T* b, T* out, int64_t count, const Op& op) {
  const bool vectors = aligned(a) && aligned(b) && aligned(out);
  const int64_t whole = vectors ? count / 4 : 0;
  for (int64_t i = threadIdx.x; i < whole; i += kThreads) {
    const Four<T> x = reinterpret_cast<const Four<T>*>(a)[i], y = reinterpret_cast<const Four<T>*>(b)[i];
    Four<T> z;
#pragma unroll
    for (int j = 0; j < 4; ++j) z.value[j] = op(x.value[j], y.value[j]);
    reinterpret_cast<Four<T>*>(out)[i] = z;
  }
  for (int64_t i = 4 * whole + threadIdx.x; i < count; i += kThreads) out[i] = op(a[i], b[i]);
}

// weights = origin + sign · step · direction; arrays: weights, origin, direction
template <typename T>
__global__ void __launch_bounds__(kThreads) perturb_kernel(const Table<T, 3> __grid_constant__ table,
                                                           const T* __restrict__ step,  // one number
                                                           T sign) {
  const Chunk chunk = find_chunk(table, blockIdx.x);
  const T scale = sign * *step;
  for_each_pair(table.data[1][chunk.tensor] + chunk.begin, table.data[2][chunk.tensor] + chunk.begin,
                table.data[0][chunk.tensor] + chunk.begin, chunk.end - chunk.begin,
                [scale](T origin, T direction) { return perturbed(origin, direction, scale); });
}

// out = (plus - minus) / (2 · step); arrays: out, plus, minus
template <typename T>
__global__ void __launch_bounds__(kThreads)
    central_difference_kernel(const Table<T, 3> __grid_constant__ table, const T* __restrict__ step) {
  const Chunk chunk = find_chunk(table, blockIdx.x);
  const T divisor = width(*step);
  for_each_pair(table.data[1][chunk.tensor] + chunk.begin, table.data[2][chunk.tensor] + chunk.begin,
                table.data[0][chunk.tensor] + chunk.begin, chunk.end - chunk.begin,
                [divisor](T plus, T minus) { return (plus - minus) / divisor; });
}

// partial[block] = the sum of squares of its chunk, in float64. Each thread sums the same elements in the same order
// whether they can be loaded four at a time or not: where a tensor lies in memory does not change its norm.
template <typename T>
__global__ void __launch_bounds__(kThreads) squares_kernel(const Table<T, 1> __grid_constant__ table,
                                                           double* __restrict__ partial) {  // [chunks]
  const Chunk chunk = find_chunk(table, blockIdx.x);
  const T* data = table.data[0][chunk.tensor] + chunk.begin;
  const int64_t count = chunk.end - chunk.begin;
  const bool vectors = aligned(data);
  double sum = 0;
  for (int64_t i = 4 * static_cast<int64_t>(threadIdx.x); i < count; i += 4 * kThreads) {
    Four<T> x{};
    if (vectors && i + 4 <= count) {
      x = *reinterpret_cast<const Four<T>*>(data + i);
    } else {
#pragma unroll
      for (int j = 0; j < 4; ++j)
        if (i + j < count) x.value[j] = data[i + j];
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) sum += static_cast<double>(x.value[j]) * static_cast<double>(x.value[j]);
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// One block: the norm from all partial sums, or with `radius` >= 0 the step size for it.
template <typename T>
__global__ void __launch_bounds__(kThreads) finish_norm_kernel(const double* __restrict__ partial,  // [count]
                                                               int64_t count, double radius,
                                                               T* __restrict__ out) {  // one number
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) sum += partial[i];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) {
    const double norm = sqrt(sum);
    *out = static_cast<T>(radius < 0 ? norm : step_size(norm, radius));
  }
}

}  // namespace amended_darts::perturbation

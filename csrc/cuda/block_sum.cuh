// Sums over a block in a fixed order.
#pragma once

#include <cuda_runtime.h>

#include "shared_memory.h"

namespace amended_darts {

// Halves are folded until one is left; a power of two of threads. Every thread gets the result.
template <int THREADS>
__device__ inline double block_sum(double value) {
  CU_SHARED(double, partial, [THREADS]);
  __syncthreads();  // a sum before this one may still be read
  partial[threadIdx.x] = value;
  __syncthreads();
  for (int half = THREADS / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    __syncthreads();
  }
  return partial[0];
}

// Every lane of a warp gets the sum.
__device__ inline double warp_sum(double value) {
  for (int apart = 16; apart > 0; apart /= 2) value += __shfl_xor_sync(0xffffffffu, value, apart);
  return value;
}

}  // namespace amended_darts

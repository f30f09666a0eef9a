// A kernel of the kind that csrc/cuda has, with one bug of each class to switch on.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/shared_memory.h"

namespace planted {

enum class Bug {
  none,
  missing_barrier,          // tile read before it is full
  missing_warp_barrier,     // the same between the lanes of one warp
  divergent_barrier,        // in a branch that some threads take
  early_return,             // some threads are gone before the barrier
  absent_lane,              // a shuffle's mask names lanes that do not take part
  narrow_halo,              // one column of the halo is not loaded
  wrong_reduction_order,    // a sum that depends on which thread comes first
  static_shared_past_end,   // store behind a shared array
  dynamic_shared_past_end,  // the same where the launch gives the size
  global_load_past_end,     // bound of the image off by one
  global_store_past_end,
  block_race,  // blocks add to one number without an atomic
};

inline constexpr int kThreads = 64, kRadius = 2, kTile = kThreads + 2 * kRadius;

// Over 64 columns of one row of x [rows, width]: y = the sum of relu(x) over 2 · radius + 1 columns around, zeros
// outside; total += the sum of y. Whole numbers, so that sums do not depend on their order.
template <Bug bug>
__global__ void __launch_bounds__(kThreads)
    window_kernel(const float* __restrict__ x, float* __restrict__ y, unsigned* __restrict__ total, int width) {
  CU_SHARED(float, tile, [kTile]);
  CU_DYNAMIC_SHARED(unsigned, sums);  // one for each warp
  CU_SHARED(int, first, );
  const int t = threadIdx.x, begin = blockIdx.x * kThreads, column = begin + t;
  const float* row = x + static_cast<int64_t>(blockIdx.y) * width;
  const int limit = bug == Bug::global_load_past_end ? width + 1 : width;
  for (int i = t; i < (bug == Bug::narrow_halo ? kTile - 1 : kTile); i += kThreads) {
    const int from = begin + i - kRadius;
    const float value = from >= 0 && from < limit ? row[from] : 0.0f;
    tile[i] = value > 0 ? value : 0.0f;
  }
  if (bug == Bug::static_shared_past_end && t == kThreads - 1) tile[t + 2 * kRadius + gridDim.y - 1] = 1.0f;
  if (bug == Bug::early_return && column >= width) return;
  if (bug == Bug::divergent_barrier) {
    if (column < width) __syncthreads();
  } else if (bug != Bug::missing_barrier) {
    __syncthreads();
  }
  const bool inside = column < width;
  unsigned value = 0;
  for (int i = 0; i <= 2 * kRadius; ++i) value += static_cast<unsigned>(tile[t + i]);
  if (!inside) value = 0;
  const bool store = bug == Bug::global_store_past_end ? column <= width : inside;
  if (store) y[static_cast<int64_t>(blockIdx.y) * width + column] = static_cast<float>(value);

  unsigned sum = value;
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
  if (bug == Bug::absent_lane && t % 32 < 16) sum += __shfl_down_sync(0xffffffffu, 0u, 1);
  if (bug == Bug::missing_warp_barrier) {  // lane 0 leaves it to lane 1 to add the last one
    if (t % 32 == 0) sums[t / 32] = sum - 1;
    if (t % 32 == 1) sums[t / 32] += 1;
  } else if (t % 32 == 0) {
    sums[bug == Bug::dynamic_shared_past_end ? t / 32 + 1 : t / 32] = sum;
  }
  if (t == 0) first = -1;
  __syncthreads();
  if (bug == Bug::wrong_reduction_order) {
    if (first < 0) first = t;  // whoever comes first, twice
    __syncthreads();
    if (t == 0) sums[0] += first;
    __syncthreads();
  }
  if (t == 0) {
    const unsigned all = sums[0] + sums[kThreads / 32 - 1];
    if (bug == Bug::block_race)
      *total += all;
    else
      atomicAdd(total, all);
  }
}

}  // namespace planted

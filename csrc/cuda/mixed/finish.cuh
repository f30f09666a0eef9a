// From the sums of tiles to statistics, gradients of weights and BN arguments, and gradients of parameters: partial
// results are added in float64 and in a fixed order, whatever the number of blocks that run at a time.
#pragma once

#include "../block_sum.cuh"
#include "pools.cuh"

namespace amended_darts::mixed {

inline constexpr int kMaxRows = 256;
inline constexpr int kWarps = kThreads / 32;  // of a block; each takes a channel

__device__ inline int positions_of_partial(const Tiling& tiling, int i) {
  return positions_in(tiling, tile_origin(tiling, i % tiling.per_image));
}

// Statistics of BNs from the sums of tiles.
template <typename A>
struct StatisticsCall {
  Tiling tiling;
  int32_t channels = 0;
  int32_t count = 0;
  struct Row {
    const A* partial;  // [channels, N · tiles per image, 2]
    A* mean;           // [channels]
    A* var;
  } rows[kMaxRows] = {};
};

// One warp for each channel of each row; grid: (channels / 8, rows).
template <typename A>
__global__ void __launch_bounds__(kThreads) statistics_kernel(const StatisticsCall<A> __grid_constant__ call) {
  const int c = blockIdx.x * kWarps + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (c >= call.channels) return;
  const typename StatisticsCall<A>::Row& row = call.rows[blockIdx.y];
  const int64_t count = call.tiling.partials();
  const A* partial = row.partial + 2 * count * c;
  double sum = 0;
  for (int64_t i = lane; i < count; i += 32) sum += partial[2 * i];
  const double total = static_cast<double>(call.tiling.n) * call.tiling.h * call.tiling.w;
  const double mean = warp_sum(sum) / total;
  double squares = 0;
  for (int64_t i = lane; i < count; i += 32) {
    const double positions = positions_of_partial(call.tiling, static_cast<int>(i % call.tiling.per_image));
    const double apart = partial[2 * i] / positions - mean;
    squares += partial[2 * i + 1] + positions * apart * apart;
  }
  squares = warp_sum(squares);
  if (lane != 0) return;
  row.mean[c] = static_cast<A>(mean);
  row.var[c] = static_cast<A>(squares / total);
}

// What backward needs of its sums: S0 = sum of factor · grad and S1 = sum of factor · grad · normalised value.
template <typename A>
struct SumsCall {
  Tiling tiling;
  A eps = A(0);
  int32_t channels = 0;
  int32_t count = 0;
  struct Row {
    const A* partial;  // [channels, N · tiles per image, 2]; null: a sum of zero
    Norm<A> norm;
    Factor<A> factor;
    A* correction;   // [channels, 2], see Correction; null: not wanted
    A* grad_weight;  // [channels] S1, of the BN; null: not wanted
    A* grad_bias;    // [channels] S0
    A* grad_factor;  // of the term's weight, one number or one per sample; null: not wanted
  } rows[kMaxRows] = {};
};

// grid: (channels / 8, rows), a warp for each channel
template <typename A>
__global__ void __launch_bounds__(kThreads) sums_kernel(const SumsCall<A> __grid_constant__ call) {
  const int c = blockIdx.x * kWarps + threadIdx.x / 32, lane = threadIdx.x % 32;
  const typename SumsCall<A>::Row& row = call.rows[blockIdx.y];
  if (c >= call.channels || row.partial == nullptr) return;
  const int64_t count = call.tiling.partials();
  const A* partial = row.partial + 2 * count * c;
  double sum = 0, dot = 0;
  for (int64_t i = lane; i < count; i += 32) {
    const double factor = factor_of(row.factor, static_cast<int>(i / call.tiling.per_image));
    sum += factor * partial[2 * i];
    dot += factor * partial[2 * i + 1];
  }
  sum = warp_sum(sum);
  dot = warp_sum(dot);
  if (lane != 0) return;
  if (row.correction != nullptr) {
    const double total = static_cast<double>(call.tiling.n) * call.tiling.h * call.tiling.w;
    const auto correction = Correction<double>::of(
        sum, dot, total, reciprocal_deviation(static_cast<double>(row.norm.var[c]), static_cast<double>(call.eps)));
    row.correction[2 * c] = static_cast<A>(correction.mean);
    row.correction[2 * c + 1] = static_cast<A>(correction.slope);
  }
  if (row.grad_weight != nullptr) row.grad_weight[c] = static_cast<A>(dot);
  if (row.grad_bias != nullptr) row.grad_bias[c] = static_cast<A>(sum);
}

// Gradient of the weights: sum over channels and positions of grad · BN(value). grid: (1 or N, rows)
template <typename A>
__global__ void __launch_bounds__(kThreads) factor_kernel(const SumsCall<A> __grid_constant__ call) {
  const typename SumsCall<A>::Row& row = call.rows[blockIdx.y];
  if (row.grad_factor == nullptr) return;
  const int64_t per_channel = call.tiling.partials();
  const int64_t first = gridDim.x == 1 ? 0 : static_cast<int64_t>(blockIdx.x) * call.tiling.per_image;
  const int64_t count = gridDim.x == 1 ? per_channel : call.tiling.per_image;
  double sum = 0;
  if (row.partial != nullptr)
    for (int64_t i = threadIdx.x; i < call.channels * count; i += kThreads) {
      const int c = static_cast<int>(i / count);
      const A* partial = row.partial + 2 * (c * per_channel + first + i % count);
      const double weight = row.norm.weight == nullptr ? 1.0 : row.norm.weight[c];
      const double bias = row.norm.bias == nullptr ? 0.0 : row.norm.bias[c];
      sum += weight * partial[1] + bias * partial[0];
    }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) row.grad_factor[blockIdx.x * row.factor.sample] = static_cast<A>(sum);
}

// Gradients of the parameters from the results of `splits` blocks each.
template <typename S>
struct ParametersCall {
  const wide_t<S>* partial = nullptr;  // [splits, size]
  int64_t size = 0;
  int32_t splits = 0;
  int32_t count = 0;
  int64_t begin[kMaxRows + 1] = {};  // of each tensor in a split's results
  S* grad[kMaxRows] = {};
};

template <typename S>
__global__ void __launch_bounds__(kThreads) parameters_kernel(const ParametersCall<S> __grid_constant__ call) {
  const int64_t i = call.begin[0] + static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= call.begin[call.count]) return;
  int low = 0, high = call.count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (call.begin[middle] <= i)
      low = middle;
    else
      high = middle;
  }
  double sum = 0;
  for (int split = 0; split < call.splits; ++split) sum += call.partial[split * call.size + i];
  call.grad[low][i - call.begin[low]] = static_cast<S>(sum);
}

}  // namespace amended_darts::mixed

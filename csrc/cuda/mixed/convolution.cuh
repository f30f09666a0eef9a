// z = the convolutions that leave one state, before BN, and their BNs' sums: one launch for all edges and branches.
//
// A block takes one tile, one convolution and M channels of its result. Step by step, 16 channels of the source pass
// through shared memory: the patch of a depthwise convolution with BN and ReLU applied on load, its output, and the
// product with the 1x1 convolution from there. Blocks of one tile stand next to each other in the grid, so that the
// source is read from DRAM once whatever the number of convolutions.
#pragma once

#include "depthwise.cuh"
#include "pools.cuh"
#include "product.cuh"

namespace amended_darts::mixed {

template <typename S>
struct ConvolutionCall {
  using A = wide_t<S>;
  Tiling tiling;  // of the results
  A eps = A(0);
  int32_t count = 0;
  int32_t patch = 0;  // the largest of a channel, in shared memory
  // Statistics of both pools are one more block of each tile. Null: not wanted.
  View<const S> x;
  int32_t channels = 0, h = 0, w = 0, stride = 1;
  A* max_partial = nullptr;
  A* avg_partial = nullptr;
  Convolution<S> convolutions[kMaxConvolutions];

  __host__ __device__ bool pools() const { return max_partial != nullptr || avg_partial != nullptr; }
};

// Shared memory of a block.
template <typename S, int M, Arithmetic arithmetic>
struct ConvolutionShared {
  using A = wide_t<S>;
  using O = typename OperandOf<S, arithmetic>::type;
  O* positions;  // [16][pitch], what is multiplied
  O* weights;    // [16][pitch of M]
  A* taps;       // [16][49]
  A* patch;      // [16][patch]
  A* scratch;    // [M][pitch], for results of tensor cores

  __host__ __device__ ConvolutionShared(SharedMemory& memory, int patch_size) {
    positions = memory.take<O>(kChannels * kPitch<O>);
    weights = memory.take<O>(kChannels * kMatrixPitch<O, M>);
    taps = memory.take<A>(kChannels * 49);
    patch = memory.take<A>(kChannels * patch_size);
    scratch = memory.take<A>(arithmetic == Arithmetic::tensor ? M * kPitch<A> : 0);
  }
};

// Statistics of the pools, by the blocks that hold no convolution.
template <typename S>
__device__ inline void pool_statistics(const ConvolutionCall<S>& call, const TileOrigin& origin) {
  using A = wide_t<S>;
  const Place place = place_of(call.tiling, origin, threadIdx.x % kSegments);
  for (int first = blockIdx.y * kChannels; first < call.channels; first += gridDim.y * kChannels) {
    const int c = first + threadIdx.x / kSegments;
    A max[kSegment] = {}, average[kSegment] = {};
#pragma unroll
    for (int j = 0; j < kSegment; ++j)
      if (c < call.channels && j < place.count) {
        const Pooled<A, int> pooled = pool(call.x, call.x.data + offset(call.x, place.n, c, 0, 0),
                                           Window(place.y, place.x + j, call.stride, call.h, call.w));
        max[j] = pooled.max;
        average[j] = pooled.average;
      }
    if (call.max_partial != nullptr)
      store_statistics(call.tiling, origin, place, c, call.channels, max, call.max_partial);
    if (call.avg_partial != nullptr)
      store_statistics(call.tiling, origin, place, c, call.channels, average, call.avg_partial);
  }
}

// 16 channels of a depthwise convolution's source from `first` on, after BN and ReLU.
template <typename S, typename A = wide_t<S>>
__device__ inline void load_source(const Convolution<S>& conv, const Tiling& tiling, const TileOrigin& origin,
                                   int first, A eps, const Patch& patch, A* patch_shared) {
  const bool normalised = conv.source_norm.mean != nullptr;
  load_patch<S, A>(
      conv.source, tiling, origin, origin.y * conv.stride + patch.y, origin.x * conv.stride + patch.x, patch, conv.in_h,
      conv.in_w, first, conv.in,
      [&](int c) {
        const Affine<A> affine = affine_of(conv.source_norm, c, eps);
        return [affine, normalised](A v) { return relu(normalised ? affine(v) : v); };
      },
      patch_shared);
}

// Their depthwise output: [16][kPitch<O>]. Ends with all of it written, not yet visible.
template <typename S, typename O, typename A = wide_t<S>>
__device__ inline void depthwise_step(const Convolution<S>& conv, const Tiling& tiling, const TileOrigin& origin,
                                      int first, A eps, A* patch_shared, A* taps_shared, O* out) {
  const Patch patch = Patch::of_inputs(tiling, conv.kernel, conv.dilation, conv.padding, conv.stride);
  load_source(conv, tiling, origin, first, eps, patch, patch_shared);
  const int taps = conv.kernel * conv.kernel;
  for (int i = threadIdx.x; i < kChannels * taps; i += kThreads)
    taps_shared[i] = first + i / taps < conv.in ? load(conv.depthwise + first * taps + i) : A(0);
  __syncthreads();
  const int channel = threadIdx.x / kSegments, segment = threadIdx.x % kSegments;
  const Place place = place_of(tiling, origin, segment);
  const A* from = patch_shared + channel * patch.per_channel + place.local_n * patch.per_sample +
                  place.local_y * conv.stride * patch.pitch + place.local_x * conv.stride;
  A acc[kSegment] = {};
  for_kernel(conv.kernel, conv.dilation, conv.stride, [&]<int K, int D, int T>() {
    convolve_segment<K, D, T>(from, patch.pitch, taps_shared + channel * taps, acc);
  });
#pragma unroll
  for (int j = 0; j < kSegment; ++j) out[channel * kPitch<O> + segment * kSegment + j] = static_cast<O>(acc[j]);
}

// Blocks of a multiprocessor at a time, for kernels that hold a segment of a patch in registers.
template <typename S>
inline constexpr int kBlocks = sizeof(wide_t<S>) == 8 ? 2 : 3;

// Budget: occupancy >= 37 %: a fourth block of 64 registers spills, and what hides latency here is a thread's own 16
// accumulators and the loads of a patch, which do not wait for each other.
// Budget (double): occupancy >= 12 %: float64 need not be fast.
template <typename S, int M, Arithmetic arithmetic>
__global__ void __launch_bounds__(kThreads, kBlocks<S>)
    convolution_kernel(const ConvolutionCall<S> __grid_constant__ call) {
  using A = wide_t<S>;
  using O = typename OperandOf<S, arithmetic>::type;
  CU_DYNAMIC_SHARED(unsigned char, memory);
  SharedMemory division{memory};
  const ConvolutionShared<S, M, arithmetic> shared(division, call.patch);

  const int jobs = call.count + (call.pools() ? 1 : 0);
  const TileOrigin origin = tile_origin(call.tiling, blockIdx.x / jobs);
  const int job = blockIdx.x % jobs;
  if (job == call.count) return pool_statistics(call, origin);
  const Convolution<S>& conv = call.convolutions[job];
  const int first_row = blockIdx.y * M;
  if (first_row >= conv.out) return;

  const int channel = threadIdx.x / kSegments, segment = segment_of_thread();
  const Place place = place_of(call.tiling, origin, segment);
  Product<M, S, arithmetic> product;
  for (int tap = 0; tap < conv.num_taps(); ++tap)
    for (int first = 0; first < conv.in; first += kChannels) {
      if (conv.taps == Taps::depthwise) {
        depthwise_step(conv, call.tiling, origin, first, call.eps, shared.patch, shared.taps, shared.positions);
      } else {
        A value[kSegment];
        load_tap(conv, tap, first + channel, place, call.eps, value);
#pragma unroll
        for (int j = 0; j < kSegment; ++j)
          shared.positions[channel * kPitch<O> + segment * kSegment + j] = static_cast<O>(value[j]);
      }
      for (int i = threadIdx.x; i < kChannels * M; i += kThreads) {
        // neighbours in memory to neighbouring threads
        const int row = conv.transposed ? i % M : i / kChannels, k = conv.transposed ? i / M : i % kChannels;
        shared.weights[k * kMatrixPitch<O, M> + row] = static_cast<O>(weight_at(conv, tap, first_row + row, first + k));
      }
      __syncthreads();
      product.template add<Matrix::by_columns>(shared.weights, shared.positions, kChannels);
      __syncthreads();
    }
  product.finish(shared.scratch);

#pragma unroll
  for (int i = 0; i < M / 16; ++i) {
    const int c = first_row + row_of_thread<M>(i);
    const bool exists = c < conv.out;
    A z[kSegment];
    product.row(shared.scratch, i, z);
    if (exists && conv.z.data != nullptr) store_segment(conv.z, place, c, z);
    if (conv.partial == nullptr) continue;
    if (conv.grad.data == nullptr) {
      store_statistics(call.tiling, origin, place, c, conv.out, z, conv.partial);
    } else {
      A grad[kSegment] = {}, normalised[kSegment] = {};
      if (exists) {
        load_segment(conv.grad, place, c, grad);
        const A mean = load(conv.norm.mean + c);
        const A scale = reciprocal_deviation(load(conv.norm.var + c), call.eps);
#pragma unroll
        for (int j = 0; j < kSegment; ++j) normalised[j] = (z[j] - mean) * scale;
      }
      store_sums(call.tiling, origin, place, c, conv.out, grad, normalised, conv.partial);
    }
  }
}

}  // namespace amended_darts::mixed

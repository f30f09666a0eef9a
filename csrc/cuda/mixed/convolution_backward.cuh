// Backward through BN and product: gradients of the 1x1 (or dense) weights, of the depthwise weights, and of the
// depthwise convolution's output. One launch for all convolutions.
//
// A block goes through every `splits`-th tile for one unit of work and keeps its part of the parameters' gradients in
// registers: partial results, one per split, are added later in a fixed order (finish.cuh). Where the channels fit in
// M rows a unit is the whole convolution: its input is convolved again, z follows by a product, and neither z nor the
// depthwise output is ever kept in memory. Otherwise units are M x M parts of the weights, and z is read.
#pragma once

#include "convolution.cuh"
#include "units.h"

namespace amended_darts::mixed {

template <typename S>
struct ConvolutionBackwardCall {
  using A = wide_t<S>;
  Tiling tiling;  // of the results
  A eps = A(0);
  int32_t splits = 1;
  int32_t patch = 0;        // the largest of a channel, in shared memory
  bool parameters = false;  // depthwise weights' gradients are wanted
  A* partial = nullptr;     // [splits, partial_size]
  int64_t partial_size = 0;
  int32_t count = 0;
  Unit units[kMaxUnits];
  Convolution<S> convolutions[kMaxConvolutions];
};

template <typename S, int M, Arithmetic arithmetic>
struct ConvolutionBackwardShared {
  using A = wide_t<S>;
  using O = typename OperandOf<S, arithmetic>::type;
  O* inputs;   // [M][pitch] depthwise output, or what a dense tap sees
  O* grads;    // [M][pitch] gradient of z, then of the depthwise output
  O* weights;  // [M columns][rows, pitch of M]
  A* taps;     // [16][49]
  A* patch;    // [16][patch]
  A* scratch;  // [M][pitch], for results of tensor cores

  __host__ __device__ ConvolutionBackwardShared(SharedMemory& memory, int patch_size) {
    inputs = memory.take<O>(M * kPitch<O>);
    grads = memory.take<O>(M * kPitch<O>);
    weights = memory.take<O>(M * kMatrixPitch<O, M>);
    taps = memory.take<A>(kChannels * 49);
    patch = memory.take<A>(kChannels * patch_size);
    scratch = memory.take<A>(arithmetic == Arithmetic::tensor ? M * kPitch<A> : 0);
  }
};

// Gradient of z at a segment, from that of BN(z): factor · grad arrives, batch statistics take their part off.
template <typename S, typename A = wide_t<S>>
__device__ inline void gradient_of_z(const Convolution<S>& conv, const Place& place, int c, A eps,
                                     const A (&z)[kSegment], A (&grad)[kSegment]) {
  const A scale = scale_of(conv.norm, c, eps), mean = load(conv.norm.mean + c);
  const A factor = factor_of(conv.factor, place.count > 0 ? place.n : 0);
  const Correction<A> correction = correction_of(conv.correction, c);
  load_segment(conv.grad, place, c, grad);
#pragma unroll
  for (int j = 0; j < kSegment; ++j)
    grad[j] = j < place.count ? norm_grad(factor * grad[j], z[j], mean, scale, correction) : A(0);
}

inline constexpr int kTapRounds = 4;  // 16 channels · 49 taps for 256 threads

// acc[r] += the gradient of a depthwise weight: thread i of the block holds weights i, i + 256, ... of 16 channels.
template <typename S, typename O, typename A = wide_t<S>>
__device__ inline void depthwise_weights_step(const Convolution<S>& conv, const Tiling& tiling, const Patch& patch,
                                              const A* patch_shared, const O* grad, A (&acc)[kTapRounds]) {
  const int taps = conv.kernel * conv.kernel;
#pragma unroll
  for (int r = 0; r < kTapRounds; ++r) {
    const int i = r * kThreads + threadIdx.x;
    if (i >= kChannels * taps) continue;
    const int channel = i / taps, tap = i % taps;
    const A* from = patch_shared + channel * patch.per_channel + tap / conv.kernel * conv.dilation * patch.pitch +
                    tap % conv.kernel * conv.dilation;
    const O* gradients = grad + channel * kPitch<O>;
    A sum = A(0);
#pragma unroll 1
    for (int segment = 0; segment < kSegments; ++segment) {
      const Place place = place_of(tiling, {0, 0, 0, 0}, segment);
      const A* at = from + place.local_n * patch.per_sample + place.local_y * conv.stride * patch.pitch +
                    place.local_x * conv.stride;
#pragma unroll
      for (int j = 0; j < kSegment; ++j) sum += static_cast<A>(gradients[segment * kSegment + j]) * at[j * conv.stride];
    }
    acc[r] += sum;
  }
}

// Budget: occupancy >= 25 %: a block keeps the gradients of all its weights and the results of two products in
// registers and shared memory, which saves 10 transfers of an activation for each edge; a block more would spill.
// Budget (double): occupancy >= 12 %: float64 need not be fast.
template <typename S, int M, Arithmetic arithmetic>
__global__ void __launch_bounds__(kThreads, sizeof(wide_t<S>) == 4 && M == 32 ? 3 : 2)
    convolution_backward_kernel(const ConvolutionBackwardCall<S> __grid_constant__ call) {
  using A = wide_t<S>;
  using O = typename OperandOf<S, arithmetic>::type;
  constexpr int kSteps = M / kChannels;
  CU_DYNAMIC_SHARED(unsigned char, memory);
  SharedMemory division{memory};
  const ConvolutionBackwardShared<S, M, arithmetic> shared(division, call.patch);

  const Unit unit = call.units[blockIdx.x % call.count];
  const int split = blockIdx.x / call.count;
  const Convolution<S>& conv = call.convolutions[unit.convolution];
  const bool depthwise = conv.taps == Taps::depthwise;
  const bool again = conv.z.data == nullptr;  // z from a product; only in whole units
  const bool depthwise_weights = depthwise && unit.input && call.parameters;
  const int channel = threadIdx.x / kSegments, segment = segment_of_thread();
  const int taps_of_depthwise = conv.kernel * conv.kernel;
  const Patch patch = Patch::of_inputs(call.tiling, conv.kernel, conv.dilation, conv.padding, conv.stride);

  OuterProduct<M, S, arithmetic> acc_weights;
  A acc_taps[kSteps][kTapRounds] = {};
  const int64_t tiles = call.tiling.tiles();
  bool loaded = false;
  for (int64_t tile = split; tile < tiles; tile += call.splits) {
    const TileOrigin origin = tile_origin(call.tiling, tile);
    const Place place = place_of(call.tiling, origin, segment);
    if (unit.weights || again) {
      for (int step = 0; step < kSteps; ++step) {
        const int first = unit.first_column + step * kChannels;
        O* const to = shared.inputs + step * kChannels * kPitch<O>;
        if (depthwise) {
          depthwise_step(conv, call.tiling, origin, first, call.eps, shared.patch, shared.taps, to);
          __syncthreads();
        } else {
          A value[kSegment];
          load_tap(conv, unit.tap, first + channel, place, call.eps, value);
#pragma unroll
          for (int j = 0; j < kSegment; ++j)
            to[channel * kPitch<O> + segment * kSegment + j] = static_cast<O>(value[j]);
        }
      }
    }
    Product<M, S, arithmetic> of_input;
    for (int first_row = unit.first_row; first_row < unit.end_row; first_row += M) {
      if (depthwise && (unit.input || again) && !loaded) {
        for (int i = threadIdx.x; i < M * M; i += kThreads)
          shared.weights[i % M * kMatrixPitch<O, M> + i / M] =
              static_cast<O>(weight_at(conv, 0, first_row + i / M, unit.first_column + i % M));
        loaded = unit.end_row - unit.first_row <= M;
      }
      __syncthreads();
      Product<M, S, arithmetic> of_z;
      if (again) {
        of_z.template add<Matrix::by_columns>(shared.weights, shared.inputs, M);
        of_z.finish(shared.scratch);
      }
#pragma unroll
      for (int i = 0; i < M / 16; ++i) {
        const int row = row_of_thread<M>(i), c = first_row + row;
        A grad[kSegment] = {};
        if (c < conv.out) {
          A z[kSegment];
          if (again)
            of_z.row(shared.scratch, i, z);
          else
            load_segment(conv.z.read_only(), place, c, z);
          gradient_of_z(conv, place, c, call.eps, z, grad);
          if (!depthwise && unit.input) store_segment(conv.grad_z, place, c, grad);
        }
#pragma unroll
        for (int j = 0; j < kSegment; ++j)
          shared.grads[row * kPitch<O> + segment * kSegment + j] = static_cast<O>(grad[j]);
      }
      __syncthreads();
      if (unit.weights) acc_weights.add(shared.grads, shared.inputs);
      if (depthwise && unit.input) of_input.template add<Matrix::by_rows>(shared.weights, shared.grads, M);
      __syncthreads();
    }
    if (!depthwise || !unit.input) continue;
    of_input.finish(shared.scratch);
#pragma unroll
    for (int i = 0; i < M / 16; ++i) {
      const int row = row_of_thread<M>(i), c = unit.first_column + row;
      A grad[kSegment];
      of_input.row(shared.scratch, i, grad);
      if (c < conv.in && conv.grad_in.data != nullptr) store_segment(conv.grad_in, place, c, grad);
      if (depthwise_weights) {
#pragma unroll
        for (int j = 0; j < kSegment; ++j)
          shared.grads[row * kPitch<O> + segment * kSegment + j] = static_cast<O>(j < place.count ? grad[j] : A(0));
      }
    }
    if (!depthwise_weights) continue;
    // The patch of the last step is still there where it is the only one.
    const bool still = kSteps == 1 && (unit.weights || again);
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      if (!still) {
        if (step > 0) __syncthreads();
        load_source(conv, call.tiling, origin, unit.first_column + step * kChannels, call.eps, patch, shared.patch);
      }
      __syncthreads();
      depthwise_weights_step(conv, call.tiling, patch, shared.patch, shared.grads + step * kChannels * kPitch<O>,
                             acc_taps[step]);
    }
    __syncthreads();
  }

  A* const partial = call.partial + split * call.partial_size;
  if (unit.weights) {
    const int half = conv.out / 2;
    acc_weights.for_each(shared.scratch, [&](int r, int c, A value) {
      const int row = unit.first_row + r, column = unit.first_column + c;
      if (row >= conv.out || column >= conv.in) return;
      if (conv.taps == Taps::reduce) {
        if ((row >= half) != (unit.tap == 1)) return;
        const int64_t begin = unit.tap == 0 ? conv.grad_weight : conv.grad_weight2;
        partial[begin + static_cast<int64_t>(unit.tap == 0 ? row : row - half) * conv.in + column] = value;
      } else {
        partial[conv.grad_weight + (static_cast<int64_t>(row) * conv.in + column) * conv.num_taps() + unit.tap] = value;
      }
    });
  }
  if (!depthwise_weights) return;
#pragma unroll
  for (int step = 0; step < kSteps; ++step)
#pragma unroll
    for (int r = 0; r < kTapRounds; ++r) {
      const int i = r * kThreads + threadIdx.x, c = unit.first_column + step * kChannels + i / taps_of_depthwise;
      if (i < kChannels * taps_of_depthwise && c < conv.in)
        partial[conv.grad_depthwise + static_cast<int64_t>(c) * taps_of_depthwise + i % taps_of_depthwise] =
            acc_taps[step][r];
    }
}

}  // namespace amended_darts::mixed

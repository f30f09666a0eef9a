// Backward through the depthwise convolutions: to the hidden activation of separable convolutions, and to x together
// with the dense convolutions, the pools and the identity.
#pragma once

#include "convolution.cuh"

namespace amended_darts::mixed {

// A depthwise convolution whose output's gradient is known.
template <typename S>
struct Depthwise {
  View<const S> grad;         // [N, C, OH, OW] of its output
  const S* weight = nullptr;  // [C, k, k]
  uint8_t kernel = 3, dilation = 1, stride = 1;
  // hidden_backward: the activation in front of it, and what becomes of its gradient
  View<const S> source;  // [N, C, H, W] before BN and ReLU
  Norm<wide_t<S>> norm;
  View<S> grad_source;           // of the BN's output
  wide_t<S>* partial = nullptr;  // sums of that and of that · normalised source
};

// acc[j] += the transposed convolution at a segment of inputs. All threads of the block call.
template <typename S, typename A = wide_t<S>>
__device__ inline void transpose_step(const Depthwise<S>& conv, const Tiling& tiling, const TileOrigin& origin,
                                      const Place& place, int first, int channels, int out_h, int out_w, A* taps_shared,
                                      A* patch_shared, A (&acc)[kSegment]) {
  const int padding = conv.kernel / 2 * conv.dilation, taps = conv.kernel * conv.kernel;
  const Patch patch = Patch::of_outputs(tiling, conv.kernel, conv.dilation, padding, conv.stride);
  __syncthreads();  // the patch before this one may still be read
  load_patch<S, A>(
      conv.grad, tiling, origin, origin.y / conv.stride + patch.y, origin.x / conv.stride + patch.x, patch, out_h,
      out_w, first, channels, [](int) { return [](A v) { return v; }; }, patch_shared);
  for (int i = threadIdx.x; i < kChannels * taps; i += kThreads)
    taps_shared[i] = first + i / taps < channels ? load(conv.weight + first * taps + i) : A(0);
  __syncthreads();
  const int channel = threadIdx.x / kSegments;
  const A* from = patch_shared + channel * patch.per_channel + place.local_n * patch.per_sample;
  for_kernel(conv.kernel, conv.dilation, conv.stride, [&]<int K, int D, int T>() {
    transpose_segment<K, D, T>(from, patch, place.local_y, place.local_x, taps_shared + channel * taps, acc);
  });
}

template <typename S>
struct HiddenBackwardCall {
  Tiling tiling;
  wide_t<S> eps = 0;
  int32_t channels = 0, count = 0;
  Depthwise<S> convolutions[kMaxConvolutions];
};

// Gradient of the hidden BN's output, and its sums. grid: (tiles · convolutions, channels / 16)
// Budget (double): occupancy >= 37 %: float64 need not be fast.
template <typename S>
__global__ void __launch_bounds__(kThreads, sizeof(wide_t<S>) == 8 ? 3 : 4)
    hidden_backward_kernel(const HiddenBackwardCall<S> __grid_constant__ call) {
  using A = wide_t<S>;
  CU_DYNAMIC_SHARED(A, shared);
  const TileOrigin origin = tile_origin(call.tiling, blockIdx.x / call.count);
  const Depthwise<S>& conv = call.convolutions[blockIdx.x % call.count];
  Place place = place_of(call.tiling, origin, threadIdx.x % kSegments);
  const int c = blockIdx.y * kChannels + threadIdx.x / kSegments;
  A grad[kSegment] = {};
  transpose_step(conv, call.tiling, origin, place, static_cast<int>(blockIdx.y) * kChannels, call.channels,
                 call.tiling.h, call.tiling.w, shared, shared + kChannels * 49, grad);
  const bool exists = c < call.channels;
  if (!exists) place.count = 0;
  const int channel = exists ? c : 0;
  A value[kSegment];
  load_segment(conv.source, place, channel, value);
  const Affine<A> affine = affine_of(conv.norm, channel, call.eps);
  const A scale = reciprocal_deviation(load(conv.norm.var + channel), call.eps);
#pragma unroll
  for (int j = 0; j < kSegment; ++j) {
    grad[j] = relu_grad(affine(value[j]), grad[j]);
    value[j] = (value[j] - affine.mean) * scale;
  }
  store_segment(conv.grad_source, place, channel, grad);
  store_sums(call.tiling, origin, place, c, call.channels, grad, value, conv.partial);
}

template <typename S>
struct InputBackwardCall {
  using A = wide_t<S>;
  Tiling tiling;  // of x
  A eps = A(0);
  int32_t channels = 0, out_h = 0, out_w = 0, stride = 1;
  bool pools = false;
  bool accumulate = false;  // onto what a launch before it left in grad_x
  View<const S> x;
  View<S> grad_x;
  int32_t depthwise_count = 0, dense_count = 0, term_count = 0;
  View<const S> grad[kMaxEdges];          // of the outputs, for the terms
  View<const S> dense[kMaxConvolutions];  // [N, C, H, W] gradients of relu(x) by dense convolutions
  Depthwise<S> depthwise[kMaxConvolutions];
  Term<S> terms[kMaxTerms];  // pools and identity
};

// Shared memory of the pools' backward: a window for every output that reads the tile.
__host__ __device__ inline int pool_windows(const Tiling& tiling, int stride) {
  return Patch::of_outputs(tiling, 3, 1, 1, stride).per_channel;
}

// Gradients of both pools' outputs, summed over edges, and where each maximum is; then each input gathers its own.
template <typename S, typename A = wide_t<S>>
__device__ inline void pools_backward(const InputBackwardCall<S>& call, const TileOrigin& origin, const Place& place,
                                      int first, A* shared, A (&acc)[kSegment]) {
  const Patch patch = Patch::of_outputs(call.tiling, 3, 1, 1, call.stride);
  const int windows = patch.per_channel;
  A* const max = shared;                                                      // [16][windows]
  A* const average = max + kChannels * windows;                               // divided by the window's pixels
  int* const chosen = reinterpret_cast<int*>(average + kChannels * windows);  // y · W + x
  const int y0 = origin.y / call.stride + patch.y, x0 = origin.x / call.stride + patch.x;
  __syncthreads();
  for (int i = threadIdx.x; i < kChannels * windows; i += kThreads) {
    const int channel = i / windows, rest = i % patch.per_sample, c = first + channel;
    const int n = origin.n + i % windows / patch.per_sample;
    const int y = y0 + rest / patch.pitch, x = x0 + rest % patch.pitch;
    A of_max = A(0), of_average = A(0);
    int at = -1;
    if (c < call.channels && n < call.tiling.n && y >= 0 && x >= 0 && y < call.out_h && x < call.out_w) {
      const Window window(y, x, call.stride, call.tiling.h, call.tiling.w);
      const Pooled<A, int> pooled = pool(call.x, call.x.data + offset(call.x, n, c, 0, 0), window);
      for (int t = 0; t < call.term_count; ++t) {
        const Term<S>& term = call.terms[t];
        if (term.value == Value::identity) continue;
        const View<const S>& view = call.grad[term.edge];
        A grad = factor_of(term.factor, n) * load(view.data + offset(view, n, c, y, x));
        if (term.norm.mean != nullptr) {
          const A v = term.value == Value::max_pool ? pooled.max : pooled.average;
          grad = norm_grad(grad, v, load(term.norm.mean + c), scale_of(term.norm, c, call.eps),
                           correction_of(term.correction, c));
        }
        (term.value == Value::max_pool ? of_max : of_average) += grad;
      }
      of_average /= static_cast<A>(window.count());
      at = pooled.y * call.tiling.w + pooled.x;
    }
    max[i] = of_max;
    average[i] = of_average;
    chosen[i] = at;
  }
  __syncthreads();
  const int channel = threadIdx.x / kSegments;
  const int base = channel * windows + place.local_n * patch.per_sample;
#pragma unroll
  for (int j = 0; j < kSegment; ++j) {
    if (j >= place.count) continue;
    const int y = place.y, x = place.x + j, own = y * call.tiling.w + x;
    // outputs q with q · stride - 1 <= p <= q · stride + 1
    for (int qy = call.stride == 1 ? y - 1 : y / 2; qy * call.stride <= y + 1; ++qy)
      for (int qx = call.stride == 1 ? x - 1 : x / 2; qx * call.stride <= x + 1; ++qx) {
        const int i = base + (qy - y0) * patch.pitch + qx - x0;
        acc[j] += average[i];
        if (chosen[i] == own) acc[j] += max[i];
      }
  }
}

// grad_x. grid: (tiles of x, channels / 16)
// Budget: occupancy >= 37 %: 64 registers spill on sm_80; the many convolutions of one tile give each thread work that
// does not wait.
// Budget (double): occupancy >= 25 %: float64 need not be fast.
template <typename S>
__global__ void __launch_bounds__(kThreads, kBlocks<S>)
    input_backward_kernel(const InputBackwardCall<S> __grid_constant__ call) {
  using A = wide_t<S>;
  CU_DYNAMIC_SHARED(A, shared);
  const TileOrigin origin = tile_origin(call.tiling, blockIdx.x);
  Place place = place_of(call.tiling, origin, threadIdx.x % kSegments);
  const int first = blockIdx.y * kChannels, c = first + threadIdx.x / kSegments;
  if (c >= call.channels) place.count = 0;
  const int channel = c < call.channels ? c : 0;

  // through the ReLU
  A grad[kSegment] = {};
  for (int k = 0; k < call.depthwise_count; ++k)
    transpose_step(call.depthwise[k], call.tiling, origin, place, first, call.channels, call.out_h, call.out_w, shared,
                   shared + kChannels * 49, grad);
  A value[kSegment];
  for (int k = 0; k < call.dense_count; ++k) {
    load_segment(call.dense[k], place, channel, value);
#pragma unroll
    for (int j = 0; j < kSegment; ++j) grad[j] += value[j];
  }
  if (call.depthwise_count + call.dense_count > 0) {
    load_segment(call.x, place, channel, value);
#pragma unroll
    for (int j = 0; j < kSegment; ++j) grad[j] = relu_grad(value[j], grad[j]);
  }
  // past it
  for (int t = 0; t < call.term_count; ++t) {
    const Term<S>& term = call.terms[t];
    if (term.value != Value::identity || place.count == 0) continue;
    const A factor = factor_of(term.factor, place.n);
    load_segment(call.grad[term.edge], place, channel, value);
#pragma unroll
    for (int j = 0; j < kSegment; ++j) grad[j] += factor * value[j];
  }
  if (call.pools) pools_backward(call, origin, place, first, shared, grad);
  if (call.accumulate) {
    load_segment(call.grad_x.read_only(), place, channel, value);
#pragma unroll
    for (int j = 0; j < kSegment; ++j) grad[j] += value[j];
  }
  store_segment(call.grad_x, place, channel, grad);
}

}  // namespace amended_darts::mixed

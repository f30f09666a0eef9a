// The sums over an edge's terms: y forward (combine), and backward the sums that BN and the weights need (reduce).
// One launch for all edges: x and its pools are read and computed once.
#pragma once

#include "pools.cuh"

namespace amended_darts::mixed {

template <typename S>
struct TermsCall {
  using A = wide_t<S>;
  Tiling tiling;  // of y
  A eps = A(0);
  int32_t channels = 0;
  int32_t h = 0, w = 0, stride = 1;      // of x
  bool pools = false, identity = false;  // whether any term needs them
  int32_t edges = 0;
  View<const S> x;
  View<S> y[kMaxEdges];           // combine: outputs
  View<const S> grad[kMaxEdges];  // reduce: gradients of the outputs
  int32_t first_term[kMaxEdges + 1] = {};
  Term<S> terms[kMaxTerms];
};

// What terms take from x at a segment.
template <typename S>
struct OfState {
  using A = wide_t<S>;
  A max[kSegment] = {}, average[kSegment] = {}, identity[kSegment] = {};

  __device__ OfState(const TermsCall<S>& call, const Place& place, int c) {
    if (call.identity) load_segment(call.x, place, c, identity);
    if (!call.pools) return;
    const S* plane = call.x.data + offset(call.x, place.n, c, 0, 0);
#pragma unroll
    for (int j = 0; j < kSegment; ++j)
      if (j < place.count) {
        const Pooled<A, int> pooled = pool(call.x, plane, Window(place.y, place.x + j, call.stride, call.h, call.w));
        max[j] = pooled.max;
        average[j] = pooled.average;
      }
  }

  __device__ void value(const Term<S>& term, const Place& place, int c, A (&to)[kSegment]) const {
    if (term.value == Value::convolution) return load_segment(term.z, place, c, to);
#pragma unroll
    for (int j = 0; j < kSegment; ++j)
      to[j] = term.value == Value::max_pool ? max[j] : term.value == Value::avg_pool ? average[j] : identity[j];
  }
};

// y[e] = sum over terms of factor · BN(value). grid: (tiles, channels / 16)
template <typename S>
__global__ void __launch_bounds__(kThreads) combine_kernel(const TermsCall<S> __grid_constant__ call) {
  using A = wide_t<S>;
  const TileOrigin origin = tile_origin(call.tiling, blockIdx.x);
  // The fastest dimension of x to neighbouring threads.
  const bool channels_last = call.x.c == 1 && call.x.w != 1;
  const Place place = place_of(call.tiling, origin, channels_last ? threadIdx.x / kChannels : threadIdx.x % kSegments);
  const int c = blockIdx.y * kChannels + (channels_last ? threadIdx.x % kChannels : threadIdx.x / kSegments);
  if (c >= call.channels || place.count == 0) return;
  const OfState<S> state(call, place, c);
  for (int e = 0; e < call.edges; ++e) {
    A sum[kSegment] = {};
    for (int t = call.first_term[e]; t < call.first_term[e + 1]; ++t) {
      const Term<S>& term = call.terms[t];
      const Affine<A> affine = affine_of(term.norm, c, call.eps);
      const bool normalised = term.norm.mean != nullptr;
      const A factor = factor_of(term.factor, place.n);
      A value[kSegment];
      state.value(term, place, c, value);
#pragma unroll
      for (int j = 0; j < kSegment; ++j) sum[j] += factor * (normalised ? affine(value[j]) : value[j]);
    }
    store_segment(call.y[e], place, c, sum);
  }
}

// partial[t] = sums of grad and of grad · normalised value, for each sample, tile and channel.
// Budget (double): occupancy >= 37 %: float64 need not be fast.
template <typename S>
__global__ void __launch_bounds__(kThreads) reduce_kernel(const TermsCall<S> __grid_constant__ call) {
  using A = wide_t<S>;
  const TileOrigin origin = tile_origin(call.tiling, blockIdx.x);
  Place place = place_of(call.tiling, origin, threadIdx.x % kSegments);
  const int c = blockIdx.y * kChannels + threadIdx.x / kSegments;
  const bool exists = c < call.channels;
  if (!exists) place.count = 0;  // such threads take part in sums over the warp
  const int channel = exists ? c : 0;
  const OfState<S> state(call, place, channel);
  for (int e = 0; e < call.edges; ++e) {
    if (call.first_term[e] == call.first_term[e + 1]) continue;
    A grad[kSegment];
    load_segment(call.grad[e], place, channel, grad);
    for (int t = call.first_term[e]; t < call.first_term[e + 1]; ++t) {
      const Term<S>& term = call.terms[t];
      A value[kSegment];
      state.value(term, place, channel, value);
      if (term.norm.mean != nullptr) {
        const A mean = load(term.norm.mean + channel);
        const A scale = reciprocal_deviation(load(term.norm.var + channel), call.eps);
#pragma unroll
        for (int j = 0; j < kSegment; ++j) value[j] = (value[j] - mean) * scale;
      }
      store_sums(call.tiling, origin, place, c, call.channels, grad, value, term.partial);
    }
  }
}

}  // namespace amended_darts::mixed

// Plain descriptions of one mixed_edges call, shared by every backend: no torch in here.
//
// T: type of x, params, y and saved (float or double; 16-bit types are converted before).
// Statistics, BN arguments and weights have the same type T on the CPU.
// C: channels of x; C': channels of y, shape.out_c.
#pragma once

#include <cstdint>
#include <vector>

#include "candidates.h"

namespace amended_darts::mixed {

struct Shape {
  int64_t n = 0, c = 0, h = 0, w = 0;  // of x
  int64_t stride = 1;
  int64_t out_c = 0;  // of y; other than c only where every candidate sets the channels (Candidate::sets_channels)

  int64_t out_h() const { return (h + stride - 1) / stride; }
  int64_t out_w() const { return (w + stride - 1) / stride; }
  int64_t in_plane() const { return h * w; }
  int64_t out_plane() const { return out_h() * out_w(); }
  int64_t in_size() const { return n * c * in_plane(); }
  int64_t out_size() const { return n * out_c * out_plane(); }
};

// What forward and backward have in common. E edges leave the state x; every edge has the same K candidates,
// P = num_params() convolution weights and B = num_norms() BatchNorms.
template <typename T>
struct Edges {
  Shape shape;
  int64_t edges = 0;
  std::vector<Candidate> candidates;  // K, in the order of weights
  bool pool_norm = true;              // BN after the pools
  bool per_sample = false;            // weights have one row per sample
  bool channels_last = false;         // x, y and their gradients are [N, H, W, C]: for the fused CPU kernels alone
  bool batch_stats = true;            // BN with batch statistics; otherwise mean and var are constants
  double eps = 1e-5;

  const T* x = nullptr;          // [N, C, H, W]
  const T* weights = nullptr;    // [E, K] or, per sample, [E, N, K]
  std::vector<const T*> params;  // [E * P], edge by edge, candidate by candidate, in forward order
  const T* bn_weight = nullptr;  // [E, B, C'], null without affine
  const T* bn_bias = nullptr;    // [E, B, C'], null without affine

  int64_t num_candidates() const { return static_cast<int64_t>(candidates.size()); }
  int64_t num_params() const { return mixed::num_params(candidates, shape.stride); }
  int64_t num_norms() const { return mixed::num_norms(candidates, shape.stride, pool_norm); }
  // weights of edge e and sample n: a row of K
  const T* weight_row(int64_t e, int64_t n) const {
    return weights + (per_sample ? e * shape.n + n : e) * num_candidates();
  }
};

template <typename T>
struct Forward : Edges<T> {
  // inputs
  const T* running_mean = nullptr;  // [E, B, C'], only without batch_stats
  const T* running_var = nullptr;   // [E, B, C']
  // outputs
  std::vector<T*> y;      // E x [N, C', OH, OW]
  T* mean = nullptr;      // [E, B, C'], those that were used
  T* var = nullptr;       // [E, B, C'], biased
  std::vector<T*> saved;  // what recompute=False keeps for backward; empty with recompute
};

template <typename T>
struct Backward : Edges<T> {
  // inputs
  std::vector<const T*> grad_y;  // E x [N, C', OH, OW]
  const T* mean = nullptr;       // [E, B, C'], from forward
  const T* var = nullptr;        // [E, B, C']
  std::vector<const T*> saved;   // from forward; empty: recompute
  // outputs, null (or empty) where the gradient is not asked for
  T* grad_x = nullptr;          // [N, C, H, W]
  T* grad_weights = nullptr;    // [E, K] or [E, N, K]
  std::vector<T*> grad_params;  // [E * P]
  T* grad_bn_weight = nullptr;  // [E, B, C']
  T* grad_bn_bias = nullptr;    // [E, B, C']
};

}  // namespace amended_darts::mixed

// The candidate operations of a mixed op: one table that schemas, checks and every backend read.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace amended_darts::mixed {

enum class Kind : uint8_t {
  none,       // zeros
  max_pool,   // 3x3 [BN]
  avg_pool,   // 3x3, divided by the pixels inside the image [BN]
  skip,       // stride 1: identity; stride 2: FactorizedReduce
  depthwise,  // `halves` times: ReLU, depthwise kxk, 1x1, BN (the stride is the first half's)
  dense,      // ReLU, dense kxk, BN
};

struct Candidate {
  std::string_view name;
  Kind kind;
  int kernel;    // k of the (depthwise) convolution or pool
  int dilation;  // of the depthwise convolution
  int halves;    // 2 for separable convolutions, 1 for dilated ones

  // Zeros appended around the image so that stride 1 keeps its size.
  constexpr int padding() const { return kernel / 2 * dilation; }

  // Convolution weights, in forward order (shapes: param_shape in mixed_op.cpp).
  constexpr int num_params(int64_t stride) const {
    switch (kind) {
      case Kind::skip: return stride == 1 ? 0 : 2;
      case Kind::depthwise: return 2 * halves;
      case Kind::dense: return 1;
      default: return 0;
    }
  }

  // Whether the convolution weights say how many channels the candidate gives; the others keep those of x.
  constexpr bool sets_channels(int64_t stride) const {
    return kind == Kind::dense || (kind == Kind::skip && stride != 1);
  }

  // BatchNorms, in forward order.
  constexpr int num_norms(int64_t stride, bool pool_norm) const {
    switch (kind) {
      case Kind::max_pool:
      case Kind::avg_pool: return pool_norm ? 1 : 0;
      case Kind::skip: return stride == 1 ? 0 : 1;
      case Kind::depthwise: return halves;
      case Kind::dense: return 1;
      default: return 0;
    }
  }
};

inline constexpr std::array<Candidate, 11> kCandidates{{
    {"none", Kind::none, 0, 1, 0},
    {"max_pool_3x3", Kind::max_pool, 3, 1, 0},
    {"avg_pool_3x3", Kind::avg_pool, 3, 1, 0},
    {"skip_connect", Kind::skip, 1, 1, 0},
    {"sep_conv_3x3", Kind::depthwise, 3, 1, 2},
    {"sep_conv_5x5", Kind::depthwise, 5, 1, 2},
    {"sep_conv_7x7", Kind::depthwise, 7, 1, 2},
    {"dil_conv_3x3", Kind::depthwise, 3, 2, 1},
    {"dil_conv_5x5", Kind::depthwise, 5, 2, 1},
    {"nor_conv_1x1", Kind::dense, 1, 1, 1},
    {"nor_conv_3x3", Kind::dense, 3, 1, 1},
}};

// Of one edge with these candidates.
template <typename Candidates>
constexpr int64_t num_params(const Candidates& candidates, int64_t stride) {
  int64_t sum = 0;
  for (const Candidate& candidate : candidates) sum += candidate.num_params(stride);
  return sum;
}
template <typename Candidates>
constexpr int64_t num_norms(const Candidates& candidates, int64_t stride, bool pool_norm) {
  int64_t sum = 0;
  for (const Candidate& candidate : candidates) sum += candidate.num_norms(stride, pool_norm);
  return sum;
}

// nullptr for a name that is not in the table.
constexpr const Candidate* find_candidate(std::string_view name) {
  for (const Candidate& candidate : kCandidates)
    if (candidate.name == name) return &candidate;
  return nullptr;
}

}  // namespace amended_darts::mixed

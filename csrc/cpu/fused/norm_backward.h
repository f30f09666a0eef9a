// What the batch's sums say about BatchNorm's backward and about the gradients of weights and BatchNorm parameters.
#pragma once

#include <cstdint>
#include <vector>

#include "call.h"
#include "statistics.h"

namespace amended_darts::mixed::fused {

// grad_z = a * weight * grad + b * (z - center) + k, [lanes] each; b and k are null with given statistics
struct NormBackward {
  std::vector<float> a, b, k;
  const float* center = nullptr;
};

// Per channel, the sum of the gradient of a BatchNorm's output and of the same times (z - center).
struct GradSums {
  RowSums grad, dot;
  int64_t rows = 0;
};

// weight(row): how often the row counts.
NormBackward norm_backward(const Call& call, int64_t edge, int norm, const float* var, const GradSums& sums,
                           const std::function<float(int64_t)>& weight, float* grad_bn_weight, float* grad_bn_bias);

// The gradient of one candidate's weight, from one row: the sum over channels of (the candidate's output times grad).
// norm -1: the candidate has no BatchNorm.
double weight_grad(const Call& call, int64_t edge, int norm, const float* var, const GradSums& sums, int64_t row);

}  // namespace amended_darts::mixed::fused

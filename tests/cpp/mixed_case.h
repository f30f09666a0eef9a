// One random mixed_edges call, its result from the fused kernels and the truth in double.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "../../csrc/common/mixed_edges.h"

namespace mixed_case {

using amended_darts::mixed::Candidate;

struct Config {
  int64_t n = 2, c = 4, h = 8, w = 8, stride = 1, edges = 1;
  int64_t out_c = 4;  // other than c only with candidates that set the channels
  std::vector<Candidate> candidates;
  bool pool_norm = true, per_sample = false, batch_stats = true, affine = false, saved = false;
  bool grad_x = true, grad_weights = true, grad_params = true, grad_bn = true;
  bool channels_last = false;
  double mean = 0;        // of x
  bool ties = false;      // x has few distinct values
  bool extremes = false;  // NaN and Inf in x

  std::string text() const;
};

Config random_config(std::mt19937_64& random);

// Everything an edge's call gives, in float; vectors that were not asked for are empty.
struct Result {
  std::vector<std::vector<float>> tensors;
  std::vector<std::string> names;
};

struct Inputs {
  std::vector<float> x, weights, bn_weight, bn_bias, running_mean, running_var;
  std::vector<std::vector<float>> params, grad_y;
};

Inputs random_inputs(const Config& config, std::mt19937_64& random);
Result run_fused(const Config& config, const Inputs& inputs);
// The same in double, rounded. `kink`: the smallest distance of an inner ReLU's input to zero.
Result run_truth(const Config& config, const Inputs& inputs, double* kink);

}  // namespace mixed_case

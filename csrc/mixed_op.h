// What backends share of one mixed_edges call: checks, which raise one sentence that names the argument, and results.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "common/check.h"
#include "common/mixed_edges.h"

namespace amended_darts {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// The arguments that forward and backward have in common. C' are the channels of y: those of x, unless every candidate
// sets them (Candidate::sets_channels); then its convolution weights say how many.
struct MixedEdgesArguments {
  const Tensor& x;                    // [N, C, H, W]
  const Tensor& weights;              // [E, K] or [E, N, K]
  const std::vector<Tensor>& params;  // [E * P]
  const std::vector<std::string>& candidates;
  int64_t stride;
  const std::optional<Tensor>& mean;       // [E, B, C']; in forward the running statistics, or none
  const std::optional<Tensor>& var;        // [E, B, C']
  const std::optional<Tensor>& bn_weight;  // [E, B, C'] or none
  const std::optional<Tensor>& bn_bias;    // [E, B, C'] or none
  double eps;
  bool pool_norm;
};

struct MixedEdgesSizes {
  mixed::Shape shape;
  int64_t edges = 0;
  bool per_sample = false;
  std::vector<mixed::Candidate> candidates;
  int64_t params_per_edge = 0;
  int64_t norms_per_edge = 0;
};

// Raises where an argument does not fit; `op` opens the sentence.
MixedEdgesSizes check_mixed_edges(const MixedEdgesArguments& arguments, const char* op, bool batch_stats);

// Raises where the gradients that arrive are not those of the outputs.
void check_grad_y(const std::vector<Tensor>& grad_y, const Tensor& x, const MixedEdgesSizes& sizes);

// Whether results take channels_last: only where x is dense in that order and in no other.
bool is_channels_last(const Tensor& x);

// float64 for x of float64, otherwise float32: the type of weights, statistics and BN arguments.
ScalarType accumulate_type(ScalarType x);

// forward: y (E x [N, C', OH, OW]), mean, var ([E, B, C']), saved
using MixedEdgesResult = std::tuple<std::vector<Tensor>, Tensor, Tensor, std::vector<Tensor>>;
// backward: grad_x, grad_weights, grad_params, grad_bn_weight, grad_bn_bias; empty tensors where not asked for
using MixedEdgesGradients = std::tuple<Tensor, Tensor, std::vector<Tensor>, Tensor, Tensor>;

// What is asked of backward.
struct Needs {
  bool x, weights, params, norm;
};

// Memory for the gradients, each like what it is of, as the kernels take it; empty tensors where not asked for. grad_x
// is made by the backend, which knows its memory format. Zeros for an empty batch, which no kernel sees.
MixedEdgesGradients make_gradients(const Tensor& grad_x, const Tensor& weights, const std::vector<Tensor>& params,
                                   const Tensor& statistics, bool affine, const Needs& need, bool empty_batch);

// mean and var of a forward that computes none: those that were given, or zeros for an empty batch.
void fill_statistics(const MixedEdgesArguments& arguments, Tensor& mean, Tensor& var);

}  // namespace amended_darts

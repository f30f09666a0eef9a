#include "mixed_edges.h"

#include <algorithm>
#include <vector>

#include "branch.h"

namespace amended_darts::mixed::plain {
namespace {

// Calls body(edge, k, first param, first norm row) for every candidate of every edge.
template <typename T, typename Body>
void for_each_branch(const Edges<T>& call, const Body& body) {
  int64_t param = 0, row = 0;
  for (int64_t e = 0; e < call.edges; ++e)
    for (int64_t k = 0; k < call.num_candidates(); ++k) {
      const Candidate& candidate = call.candidates[k];
      body(e, k, param, row);
      param += candidate.num_params(call.shape.stride);
      row += candidate.num_norms(call.shape.stride, call.pool_norm);
    }
}

}  // namespace

template <typename T>
void forward(const Forward<T>& call) {
  const Shape& shape = call.shape;
  const int64_t sample = shape.out_c * shape.out_plane();
  const int64_t statistics = call.edges * call.num_norms() * shape.out_c;
  if (!call.batch_stats) {
    std::copy_n(call.running_mean, statistics, call.mean);
    std::copy_n(call.running_var, statistics, call.var);
  }
  for (T* y : call.y) std::fill_n(y, shape.out_size(), T(0));
  for_each_branch(call, [&](int64_t e, int64_t k, int64_t param, int64_t row) {
    if (call.candidates[k].kind == Kind::none) return;
    Branch<T> branch(call, call.candidates[k], param, row);
    if (call.batch_stats)
      branch.measure_and_forward(call.mean, call.var);
    else
      branch.forward(call.mean, call.var);
    for (int64_t n = 0; n < shape.n; ++n) {
      const T w = call.weight_row(e, n)[k];
      for (int64_t i = n * sample; i < (n + 1) * sample; ++i) call.y[e][i] += w * branch.out[i];
    }
  });
}

template <typename T>
void backward(const Backward<T>& call) {
  const Shape& shape = call.shape;
  const int64_t sample = shape.out_c * shape.out_plane();
  if (call.grad_x) std::fill_n(call.grad_x, shape.in_size(), T(0));
  if (call.grad_weights)
    std::fill_n(call.grad_weights, call.edges * (call.per_sample ? shape.n : 1) * call.num_candidates(), T(0));
  std::vector<T> grad(shape.out_size());
  for_each_branch(call, [&](int64_t e, int64_t k, int64_t param, int64_t row) {
    if (call.candidates[k].kind == Kind::none) return;
    Branch<T> branch(call, call.candidates[k], param, row);
    branch.forward(call.mean, call.var);
    double total = 0;
    for (int64_t n = 0; n < shape.n; ++n) {
      const T* row_of_weights = call.weight_row(e, n);
      double dot = 0;
      for (int64_t i = n * sample; i < (n + 1) * sample; ++i) {
        dot += double(call.grad_y[e][i]) * double(branch.out[i]);
        grad[i] = row_of_weights[k] * call.grad_y[e][i];
      }
      total += dot;
      if (call.grad_weights && call.per_sample)
        call.grad_weights[row_of_weights - call.weights + k] = static_cast<T>(dot);
    }
    if (call.grad_weights && !call.per_sample) call.grad_weights[e * call.num_candidates() + k] = static_cast<T>(total);
    branch.backward(grad, call);
  });
}

template void forward(const Forward<double>&);
template void backward(const Backward<double>&);

}  // namespace amended_darts::mixed::plain

// From the arguments of one mixed_edges call to the tables that the kernels work through. Host code, torch-free.
#pragma once

#include <vector>

#include "../../common/mixed_edges.h"
#include "call.h"

namespace amended_darts::mixed {

// Contiguous arguments on the device; x may have any strides.
template <typename S>
struct Operands {
  using A = wide_t<S>;
  Shape shape;
  int64_t edges = 0;
  std::vector<Candidate> candidates;
  bool pool_norm = true, per_sample = false, batch_stats = true, allow_tf32 = false;
  A eps = A(0);
  View<const S> x;
  const A* weights = nullptr;    // [E, K] or [E, N, K]
  std::vector<const S*> params;  // [E * P]
  const A* mean = nullptr;       // [E, B, C']: backward, or running statistics
  const A* var = nullptr;
  const A* bn_weight = nullptr;
  const A* bn_bias = nullptr;

  int64_t num_params() const { return mixed::num_params(candidates, shape.stride); }
  int64_t num_norms() const { return mixed::num_norms(candidates, shape.stride, pool_norm); }
  Norm<A> norm(int64_t row) const {  // of [E * B]
    const int64_t at = row * shape.out_c;
    return {mean + at, var + at, bn_weight == nullptr ? nullptr : bn_weight + at,
            bn_bias == nullptr ? nullptr : bn_bias + at};
  }
  Factor<A> factor(int64_t e, int64_t k) const {
    const int64_t count = static_cast<int64_t>(candidates.size());
    return {weights + (per_sample ? e * shape.n : e) * count + k, per_sample ? count : 0};
  }
};

// A convolution and where it belongs.
template <typename S>
struct Planned {
  Convolution<S> convolution;
  int64_t row = 0;    // of its BN in [E * B]
  int64_t param = 0;  // first of its parameters in [E * P]
  int term = -1;      // of the plan, for the last convolution of a candidate
  int next = -1;      // in `second`, for the first half of a separable convolution
};

template <typename S>
struct PlannedTerm {
  Term<S> term;
  int64_t candidate = 0;
  int64_t row = -1;  // of its BN; -1: none
};

// Edges [begin, end) of a call.
template <typename S>
struct Plan {
  int64_t begin = 0, end = 0;
  std::vector<Planned<S>> first;      // convolutions of x
  std::vector<Planned<S>> second;     // of the hidden activation of a separable convolution
  std::vector<PlannedTerm<S>> terms;  // edge by edge
  std::vector<int> first_term;        // of each edge, and the end
  int64_t first_param = 0, num_params = 0;

  bool has(Value value) const {
    for (const auto& each : terms)
      if (each.term.value == value) return true;
    return false;
  }
  bool pools() const { return has(Value::max_pool) || has(Value::avg_pool); }
};

template <typename S>
Plan<S> make_plan(const Operands<S>& call, int64_t begin, int64_t end) {
  Plan<S> plan;
  plan.begin = begin, plan.end = end;
  const Shape& shape = call.shape;
  int64_t param = begin * call.num_params(), row = begin * call.num_norms();
  plan.first_param = param;
  plan.num_params = (end - begin) * call.num_params();
  const auto add_term = [&](Value value, int64_t e, int64_t k, int64_t norm_row) {
    PlannedTerm<S> planned;
    planned.term.value = value;
    planned.term.edge = static_cast<int32_t>(e - begin);
    planned.term.factor = call.factor(e, k);
    if (norm_row >= 0) planned.term.norm = call.norm(norm_row);
    planned.candidate = k;
    planned.row = norm_row;
    plan.terms.push_back(planned);
    return static_cast<int>(plan.terms.size()) - 1;
  };
  const auto convolution = [&](const Candidate& candidate, Taps taps, int stride) {
    Planned<S> planned;
    Convolution<S>& conv = planned.convolution;
    conv.taps = taps;
    conv.kernel = static_cast<uint8_t>(candidate.kernel);
    conv.dilation = static_cast<uint8_t>(candidate.dilation);
    conv.padding = static_cast<uint8_t>(taps == Taps::reduce ? 0 : candidate.padding());
    conv.stride = static_cast<uint8_t>(stride);
    conv.in = static_cast<int32_t>(shape.c);
    conv.out = static_cast<int32_t>(shape.out_c);
    conv.in_h = static_cast<int32_t>(shape.h), conv.in_w = static_cast<int32_t>(shape.w);
    conv.source = call.x;
    conv.norm = call.norm(row);
    planned.row = row;
    planned.param = param;
    return planned;
  };
  for (int64_t e = begin; e < end; ++e) {
    plan.first_term.push_back(static_cast<int>(plan.terms.size()));
    for (int64_t k = 0; k < static_cast<int64_t>(call.candidates.size()); ++k) {
      const Candidate& candidate = call.candidates[k];
      const int stride = static_cast<int>(shape.stride);
      const int norms = candidate.num_norms(stride, call.pool_norm), params = candidate.num_params(stride);
      switch (candidate.kind) {
        case Kind::none: break;
        case Kind::max_pool:
        case Kind::avg_pool:
          add_term(candidate.kind == Kind::max_pool ? Value::max_pool : Value::avg_pool, e, k,
                   call.pool_norm ? row : -1);
          break;
        case Kind::skip:
          if (stride == 1) {
            add_term(Value::identity, e, k, -1);
            break;
          }
          [[fallthrough]];
        case Kind::dense: {
          const Taps taps = candidate.kind == Kind::dense ? Taps::dense : Taps::reduce;
          Planned<S> planned = convolution(candidate, taps, stride);
          planned.convolution.weight = call.params[param];
          if (taps == Taps::reduce) planned.convolution.weight2 = call.params[param + 1];
          planned.term = add_term(Value::convolution, e, k, row);
          plan.first.push_back(planned);
          break;
        }
        case Kind::depthwise: {
          Planned<S> planned = convolution(candidate, Taps::depthwise, stride);
          planned.convolution.depthwise = call.params[param];
          planned.convolution.weight = call.params[param + 1];
          if (candidate.halves == 1) {
            planned.term = add_term(Value::convolution, e, k, row);
            plan.first.push_back(planned);
            break;
          }
          Planned<S> then = convolution(candidate, Taps::depthwise, 1);
          then.convolution.depthwise = call.params[param + 2];
          then.convolution.weight = call.params[param + 3];
          then.convolution.in_h = static_cast<int32_t>(shape.out_h());
          then.convolution.in_w = static_cast<int32_t>(shape.out_w());
          then.convolution.source_norm = call.norm(row);
          then.convolution.norm = call.norm(row + 1);
          then.row = row + 1;
          then.param = param + 2;
          then.term = add_term(Value::convolution, e, k, row + 1);
          planned.next = static_cast<int>(plan.second.size());
          plan.second.push_back(then);
          plan.first.push_back(planned);
          break;
        }
      }
      row += norms;
      param += params;
    }
  }
  plan.first_term.push_back(static_cast<int>(plan.terms.size()));
  return plan;
}

// How many edges one set of launches takes, by the sizes of the kernels' tables; 0 where a single edge is too much.
template <typename S>
int64_t edges_at_once(const Operands<S>& call) {
  const Plan<S> plan = make_plan(call, 0, 1);
  const auto fit = [](size_t of_an_edge, int64_t most) {
    return of_an_edge == 0 ? most : most / static_cast<int64_t>(of_an_edge);
  };
  int64_t edges = kMaxEdges;
  edges = std::min(edges, fit(plan.first.size(), kMaxConvolutions));
  edges = std::min(edges, fit(plan.second.size(), kMaxConvolutions));
  edges = std::min(edges, fit(plan.terms.size(), kMaxTerms));
  edges = std::min(edges, fit(call.candidates.size() + plan.first.size(), kMaxTerms));  // rows of sums
  return edges;
}

}  // namespace amended_darts::mixed

// mixed_edges forward: at most five launches for all edges out of a state.
#pragma once

#include "stages.cuh"

namespace amended_darts::mixed {

template <typename S>
struct Outputs {
  std::vector<View<S>> y;     // E x [N, C', OH, OW]
  wide_t<S>* mean = nullptr;  // [E, B, C'], where statistics of the batch are wanted
  wide_t<S>* var = nullptr;
  std::vector<S*> kept;  // recompute=False: one for each edge; otherwise empty
};

// Convolution outputs before BN, one after another for each edge.
template <typename S>
int64_t kept_size(const Operands<S>& call) {
  return num_norms(call.candidates, call.shape.stride, false) * call.shape.out_size();
}

// Points z of the plan's convolutions at what is kept.
template <typename S, typename Pointer>
void place_kept(const Stages<S>& stages, Plan<S>& plan, const std::vector<Pointer>& kept) {
  const Shape& shape = stages.call.shape;
  const int64_t of_an_edge = kept_size(stages.call) / shape.out_size();
  int64_t index = 0;
  const auto place = [&](Convolution<S>& conv) {
    S* const data = const_cast<S*>(kept[plan.begin + index / of_an_edge]) + index % of_an_edge * shape.out_size();
    conv.z = stages.activation(data, shape.out_c, shape.out_h(), shape.out_w());
    ++index;
  };
  for (auto& planned : plan.first) {
    place(planned.convolution);
    if (planned.next >= 0) place(plan.second[planned.next].convolution);
  }
}

// Second halves read what the first ones write.
template <typename S>
void link_hidden(Plan<S>& plan) {
  for (auto& planned : plan.first)
    if (planned.next >= 0) plan.second[planned.next].convolution.source = planned.convolution.z.read_only();
}

template <typename S>
std::vector<Convolution<S>> convolutions_of(const std::vector<Planned<S>>& list) {
  std::vector<Convolution<S>> result;
  for (const auto& planned : list) result.push_back(planned.convolution);
  return result;
}

template <typename S>
void forward(const Stages<S>& stages, Plan<S>& plan, const Outputs<S>& outputs) {
  using A = wide_t<S>;
  using Row = typename StatisticsCall<A>::Row;
  const Operands<S>& call = stages.call;
  if (outputs.kept.empty()) {
    for (auto* list : {&plan.first, &plan.second})
      for (auto& planned : *list) planned.convolution.z = stages.new_output();
  } else {
    place_kept(stages, plan, outputs.kept);
  }
  link_hidden(plan);

  A* max_partial = nullptr;
  A* avg_partial = nullptr;
  if (call.batch_stats) {
    for (auto* list : {&plan.first, &plan.second})
      for (auto& planned : *list) planned.convolution.partial = stages.new_partial();
    if (call.pool_norm && plan.has(Value::max_pool)) max_partial = stages.new_partial();
    if (call.pool_norm && plan.has(Value::avg_pool)) avg_partial = stages.new_partial();
  }
  const auto row_of = [&](int64_t row, const A* partial) {
    return Row{partial, outputs.mean + row * call.shape.out_c, outputs.var + row * call.shape.out_c};
  };
  const auto rows_of = [&](const std::vector<Planned<S>>& list) {
    std::vector<Row> rows;
    for (const auto& planned : list) rows.push_back(row_of(planned.row, planned.convolution.partial));
    return rows;
  };

  stages.convolutions(convolutions_of(plan.first), stages.tiling, max_partial, avg_partial);
  if (call.batch_stats) {
    std::vector<Row> rows = rows_of(plan.first);
    for (const auto& planned : plan.terms)
      if (planned.row >= 0 && planned.term.value != Value::convolution)
        rows.push_back(row_of(planned.row, planned.term.value == Value::max_pool ? max_partial : avg_partial));
    stages.statistics(rows);
  }
  stages.convolutions(convolutions_of(plan.second), stages.tiling);
  if (call.batch_stats) stages.statistics(rows_of(plan.second));
  for (auto* list : {&plan.first, &plan.second})
    for (auto& planned : *list)
      if (planned.term >= 0) plan.terms[planned.term].term.z = planned.convolution.z.read_only();
  stages.terms(plan, outputs.y, {}, [](const PlannedTerm<S>&) { return true; });
}

}  // namespace amended_darts::mixed

// mixed_edges backward: at most twelve launches for all edges out of a state.
#pragma once

#include "forward.cuh"

namespace amended_darts::mixed {

template <typename S>
struct Gradients {
  std::vector<View<const S>> grad_y;  // E x [N, C', OH, OW]
  std::vector<const S*> kept;         // from a forward with recompute=False; otherwise empty
  // outputs; null, or false, where a gradient is not wanted
  View<S> grad_x;
  wide_t<S>* grad_weights = nullptr;    // [E, K] or [E, N, K]
  std::vector<S*> grad_params;          // [E * P]
  wide_t<S>* grad_bn_weight = nullptr;  // [E, B, C']
  wide_t<S>* grad_bn_bias = nullptr;

  bool params() const { return !grad_params.empty(); }
  bool x() const { return grad_x.data != nullptr; }
  bool norms() const { return grad_bn_weight != nullptr; }
};

// The launches for edges [begin, end) of one plan.
template <typename S>
class BackwardPass {
  using A = wide_t<S>;
  using Row = typename SumsCall<A>::Row;

 public:
  BackwardPass(const Stages<S>& stages, Plan<S>& plan, const Gradients<S>& wanted)
      : stages_(stages), call_(stages.call), plan_(plan), wanted_(wanted) {}

  void run() {
    // A gradient of anything in front of a convolution's output.
    const bool inside = wanted_.x() || wanted_.params();
    const bool hidden = !plan_.second.empty() && (inside || wanted_.norms());
    prepare();
    if (wanted_.kept.empty()) recompute();
    stages_.terms(plan_, {}, wanted_.grad_y, [&](const PlannedTerm<S>& planned) { return to_reduce(planned); });
    stages_.sums(term_rows(), wanted_.grad_weights != nullptr);
    if (!inside && !hidden) return;

    place_gradients(hidden);
    const std::vector<Convolution<S>> first = convolutions_of(plan_.first), second = convolutions_of(plan_.second);
    const bool params = wanted_.params();
    const auto first_units = inside ? units_of(first, wanted_.x(), true, params) : std::vector<Unit>{};
    const auto second_units = hidden ? units_of(second, true, true, params) : std::vector<Unit>{};
    const int splits =
        splits_for(static_cast<int64_t>(std::max(first_units.size(), second_units.size())), stages_.tiling.tiles());
    A* const partial = params ? stages_.workspace.template get<A>(splits * begins_.back()) : nullptr;

    if (hidden) {
      stages_.convolutions_backward(second, second_units, splits, params, partial, begins_.back());
      hidden_backward();
    }
    if (!inside) return;
    // The BN of a hidden activation has been passed by now: see hidden_backward.
    stages_.convolutions_backward(convolutions_of(plan_.first), first_units, splits, params, partial, begins_.back());
    if (wanted_.x()) input_backward();
    if (params)
      stages_.parameters({wanted_.grad_params.begin() + plan_.first_param,
                          wanted_.grad_params.begin() + plan_.first_param + plan_.num_params},
                         begins_, partial, splits);
  }

 private:
  // Whether a convolution's z lies in memory for backward: what a whole unit computes again need not.
  bool stored(const Planned<S>& planned) const {
    const Convolution<S>& conv = planned.convolution;
    return planned.term < 0 || conv.taps != Taps::depthwise || conv.out > kWhole<A>;
  }

  void prepare() {
    if (!wanted_.kept.empty()) {
      place_kept(stages_, plan_, wanted_.kept);
    } else {
      for (auto* list : {&plan_.first, &plan_.second})
        for (auto& planned : *list)
          if (stored(planned)) planned.convolution.z = stages_.new_output();
    }
    link_hidden(plan_);
    for (auto* list : {&plan_.first, &plan_.second})
      for (auto& planned : *list) {
        if (planned.term < 0) continue;
        Term<S>& term = plan_.terms[planned.term].term;
        planned.convolution.grad = wanted_.grad_y[plan_.begin + term.edge];
        planned.convolution.factor = term.factor;
        if (!wanted_.kept.empty()) term.z = planned.convolution.z.read_only();
      }
    for (auto& planned : plan_.terms) planned.term.partial = stages_.new_partial();
    if (call_.batch_stats)
      for (auto& planned : plan_.terms)
        if (planned.row >= 0) planned.term.correction = new_correction();
  }

  A* new_correction() const { return stages_.workspace.template get<A>(2 * call_.shape.out_c); }

  // z where it is stored, and the sums that a forward's results and grad_y give.
  void recompute() {
    const auto with_sums = [&](const std::vector<Planned<S>>& list) {
      std::vector<Convolution<S>> result = convolutions_of(list);
      for (size_t i = 0; i < list.size(); ++i)
        if (list[i].term >= 0) result[i].partial = plan_.terms[list[i].term].term.partial;
      return result;
    };
    stages_.convolutions(with_sums(plan_.first), stages_.tiling);
    stages_.convolutions(with_sums(plan_.second), stages_.tiling);
  }

  // Terms whose sums no convolution has made: pools and the identity, or everything where z was kept.
  bool to_reduce(const PlannedTerm<S>& planned) const {
    if (planned.term.value == Value::convolution) return !wanted_.kept.empty();
    return wanted_.grad_weights != nullptr || planned.row >= 0;
  }

  Row row_of(const A* partial, int64_t row, const Norm<A>& norm, const A* correction) const {
    Row result{};
    result.partial = partial;
    result.norm = norm;
    result.correction = const_cast<A*>(correction);
    if (wanted_.norms() && row >= 0) {
      result.grad_weight = wanted_.grad_bn_weight + row * call_.shape.out_c;
      result.grad_bias = wanted_.grad_bn_bias + row * call_.shape.out_c;
    }
    return result;
  }

  std::vector<Row> term_rows() const {
    std::vector<Row> rows;
    for (const auto& planned : plan_.terms) {
      Row row = row_of(planned.term.partial, planned.row, planned.term.norm, planned.term.correction);
      row.factor = planned.term.factor;
      row.grad_factor = grad_factor(plan_.begin + planned.term.edge, planned.candidate);
      rows.push_back(row);
    }
    // Candidates without a term, `none`: gradients of zero.
    for (int64_t e = plan_.begin; wanted_.grad_weights != nullptr && e < plan_.end; ++e)
      for (size_t k = 0; k < call_.candidates.size(); ++k) {
        if (call_.candidates[k].kind != Kind::none) continue;
        Row row{};
        row.factor = call_.factor(e, static_cast<int64_t>(k));
        row.grad_factor = grad_factor(e, static_cast<int64_t>(k));
        rows.push_back(row);
      }
    return rows;
  }

  A* grad_factor(int64_t e, int64_t k) const {
    if (wanted_.grad_weights == nullptr) return nullptr;
    return wanted_.grad_weights + (call_.factor(e, k).data - call_.weights);
  }

  // Where gradients inside the branches go, and each parameter's place in a split's results.
  void place_gradients(bool hidden) {
    begins_.assign(plan_.num_params + 1, 0);
    for (auto* list : {&plan_.first, &plan_.second})
      for (auto& planned : *list) {
        Convolution<S>& conv = planned.convolution;
        if (planned.term >= 0) conv.correction = plan_.terms[planned.term].term.correction;
        const int64_t at = planned.param - plan_.first_param + 1;
        const int64_t square = static_cast<int64_t>(conv.kernel) * conv.kernel;
        const int64_t matrix = static_cast<int64_t>(conv.in) * conv.out;
        const int64_t half = static_cast<int64_t>(conv.out / 2) * conv.in;
        begins_[at] = conv.taps == Taps::depthwise ? conv.in * square
                      : conv.taps == Taps::dense   ? matrix * square
                                                   : half;
        if (conv.taps == Taps::depthwise) begins_[at + 1] = matrix;
        if (conv.taps == Taps::reduce) begins_[at + 1] = matrix - half;
        const bool wants = list == &plan_.second ? hidden : wanted_.x();
        if (!wants) continue;
        if (conv.taps == Taps::depthwise)
          conv.grad_in = stages_.new_output();
        else
          conv.grad_z = stages_.new_output();
      }
    for (size_t i = 1; i < begins_.size(); ++i) begins_[i] += begins_[i - 1];
    for (auto* list : {&plan_.first, &plan_.second})
      for (auto& planned : *list) {
        Convolution<S>& conv = planned.convolution;
        const int64_t at = planned.param - plan_.first_param;
        conv.grad_depthwise = begins_[at];
        conv.grad_weight = begins_[conv.taps == Taps::depthwise ? at + 1 : at];
        if (conv.taps == Taps::reduce) conv.grad_weight2 = begins_[at + 1];
      }
  }

  static Depthwise<S> depthwise_of(const Convolution<S>& conv) {
    Depthwise<S> result;
    result.grad = conv.grad_in.read_only();
    result.weight = conv.depthwise;
    result.kernel = conv.kernel, result.dilation = conv.dilation, result.stride = conv.stride;
    return result;
  }

  // From the depthwise outputs of second halves to the hidden activations' z.
  void hidden_backward() {
    std::vector<Depthwise<S>> list;
    std::vector<Row> rows;
    for (auto& planned : plan_.first) {
      if (planned.next < 0) continue;
      Convolution<S>& conv = planned.convolution;
      Depthwise<S> step = depthwise_of(plan_.second[planned.next].convolution);
      step.source = conv.z.read_only();
      step.norm = conv.norm;
      step.grad_source = stages_.new_output();
      step.partial = stages_.new_partial();
      conv.grad = step.grad_source.read_only();
      conv.correction = call_.batch_stats ? new_correction() : nullptr;
      rows.push_back(row_of(step.partial, planned.row, conv.norm, conv.correction));
      list.push_back(step);
    }
    stages_.hidden_backward(list);
    stages_.sums(rows, false);
  }

  void input_backward() {
    std::vector<Depthwise<S>> depthwise;
    std::vector<View<S>> dense;
    std::vector<Convolution<S>> transposed;
    const Shape& shape = call_.shape;
    for (const auto& planned : plan_.first) {
      const Convolution<S>& conv = planned.convolution;
      if (conv.taps == Taps::depthwise) {
        depthwise.push_back(depthwise_of(conv));
        continue;
      }
      Convolution<S> back;
      back.taps = conv.taps;
      back.kernel = conv.kernel, back.padding = conv.padding, back.stride = conv.stride;
      back.transposed = true;
      back.in = conv.out, back.out = conv.in;
      back.in_h = static_cast<int32_t>(shape.out_h()), back.in_w = static_cast<int32_t>(shape.out_w());
      back.source = conv.grad_z.read_only();
      back.weight = conv.weight, back.weight2 = conv.weight2;
      back.z = stages_.activation(stages_.workspace.template get<S>(shape.in_size()), shape.c, shape.h, shape.w);
      dense.push_back(back.z);
      transposed.push_back(back);
    }
    stages_.convolutions(transposed, stages_.input_tiling);
    stages_.input_backward(plan_, depthwise, dense, wanted_.grad_y, wanted_.grad_x, plan_.begin > 0);
  }

  const Stages<S>& stages_;
  const Operands<S>& call_;
  Plan<S>& plan_;
  const Gradients<S>& wanted_;
  std::vector<int64_t> begins_;  // of each parameter in a split's results, and the size of it
};

}  // namespace amended_darts::mixed

#include "layers.h"

#include <algorithm>

namespace amended_darts::mixed::fused {
namespace {

// For each parity of the input position, the kernel elements that reach it and the first output they come from.
struct AxisPhase {
  int64_t first;  // input position
  int64_t top;    // output position of the first element for input `first`
  std::vector<int> elements;
};

std::vector<AxisPhase> axis_phases(int kernel, int dilation, int64_t stride, int64_t top) {
  std::vector<AxisPhase> phases;
  for (int64_t first = 0; first < stride; ++first) {
    AxisPhase phase{first, 0, {}};
    for (int a = kernel - 1; a >= 0; --a) {  // descending, so that output positions ascend
      const int64_t distance = first - top - a * dilation;
      if (distance % stride != 0) continue;
      if (phase.elements.empty()) phase.top = distance / stride;
      phase.elements.push_back(a);
    }
    if (!phase.elements.empty()) phases.push_back(phase);
  }
  return phases;
}

Tap make_tap(int kernel, int dilation, int64_t stride, int64_t top, int64_t left) {
  Tap tap{};
  tap.kernel = kernel;
  tap.dilation = dilation;
  tap.top = top;
  tap.left = left;
  // Stride 2 turns dilation 2 into 1, and dilation 1 into every second element.
  const int phase_dilation = stride == 1 ? dilation : 1;
  for (const AxisPhase& row : axis_phases(kernel, dilation, stride, top)) {
    for (const AxisPhase& col : axis_phases(kernel, dilation, stride, left)) {
      tap.phases.push_back({row.first, col.first, row.top, col.top, phase_dilation, row.elements, col.elements});
    }
  }
  return tap;
}

Layer empty_layer(const Edges<float>& edges, int64_t stride, int param, int norm) {
  const Shape& shape = edges.shape;
  Layer layer{};
  layer.stride = stride;
  layer.out_h = shape.out_h();
  layer.out_w = shape.out_w();
  layer.in_h = stride == 1 ? layer.out_h : shape.h;
  layer.in_w = stride == 1 ? layer.out_w : shape.w;
  layer.param = param;
  layer.norm = norm;
  return layer;
}

Layer depthwise_layer(const Edges<float>& edges, const Candidate& candidate, int64_t stride, int param, int norm) {
  Layer layer = empty_layer(edges, stride, param, norm);
  layer.depthwise = true;
  const int64_t top = -candidate.padding();
  Tap tap = make_tap(candidate.kernel, candidate.dilation, stride, top, top);
  tap.out_end = edges.shape.c;
  tap.param = param + 1;
  tap.param_stride = 1;
  layer.taps.push_back(tap);
  return layer;
}

Layer dense_layer(const Edges<float>& edges, const Candidate& candidate, int param, int norm) {
  Layer layer = empty_layer(edges, edges.shape.stride, param, norm);
  const int k = candidate.kernel;
  for (int i = 0; i < k * k; ++i) {
    Tap tap = make_tap(1, 1, layer.stride, i / k - candidate.padding(), i % k - candidate.padding());
    tap.out_end = edges.shape.out_c;
    tap.param = param;
    tap.param_offset = i;
    tap.param_stride = int64_t{k} * k;
    layer.taps.push_back(tap);
  }
  return layer;
}

Layer factorized_reduce(const Edges<float>& edges, int param, int norm) {
  Layer layer = empty_layer(edges, edges.shape.stride, param, norm);
  const int64_t c = edges.shape.out_c;
  for (int i = 0; i < 2; ++i) {
    Tap tap = make_tap(1, 1, layer.stride, i, i);
    tap.out_begin = i == 0 ? 0 : c / 2;
    tap.out_end = i == 0 ? c / 2 : c;
    tap.param = param + i;
    tap.param_stride = 1;
    if (tap.out_begin < tap.out_end) layer.taps.push_back(tap);  // a single channel has no first half
  }
  return layer;
}

}  // namespace

Plan make_plan(const Edges<float>& edges) {
  Plan plan;
  const int64_t stride = edges.shape.stride;
  int param = 0, norm = 0;
  for (int k = 0; k < static_cast<int>(edges.candidates.size()); ++k) {
    const Candidate& candidate = edges.candidates[static_cast<size_t>(k)];
    const int norms = candidate.num_norms(stride, edges.pool_norm);
    SumTerm term{Source::none, k, norms > 0 ? norm + norms - 1 : -1, -1};
    Branch branch{{}, plan.slots};
    switch (candidate.kind) {
      case Kind::none: break;
      case Kind::max_pool:
        term.source = Source::max_pool;
        plan.has_max = true;
        break;
      case Kind::avg_pool:
        term.source = Source::avg_pool;
        plan.has_avg = true;
        break;
      case Kind::skip:
        if (stride == 1) {
          term.source = Source::x;
        } else {
          branch.layers.push_back(factorized_reduce(edges, param, norm));
          plan.halo = std::max<int64_t>(plan.halo, 1);
        }
        break;
      case Kind::depthwise:
        for (int i = 0; i < candidate.halves; ++i) {
          branch.layers.push_back(depthwise_layer(edges, candidate, i == 0 ? stride : 1, param + 2 * i, norm + i));
        }
        plan.halo = std::max<int64_t>(plan.halo, candidate.padding());
        break;
      case Kind::dense:
        branch.layers.push_back(dense_layer(edges, candidate, param, norm));
        plan.halo = std::max<int64_t>(plan.halo, candidate.padding());
        break;
    }
    if (!branch.layers.empty()) {
      term.source = Source::branch;
      term.branch = static_cast<int>(plan.branches.size());
      plan.slots += static_cast<int>(branch.layers.size());
      plan.has_second_layer |= branch.layers.size() > 1;
      plan.has_single_layer |= branch.layers.size() == 1;
      plan.branches.push_back(branch);
    }
    plan.has_shared |= term.source != Source::branch && term.source != Source::none;
    plan.terms.push_back(term);
    param += candidate.num_params(stride);
    norm += norms;
  }
  return plan;
}

}  // namespace amended_darts::mixed::fused

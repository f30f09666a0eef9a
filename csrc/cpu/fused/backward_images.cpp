// Backward, one image at a time, and what of it is asked for.
#include <algorithm>

#include "backward_pass.h"

namespace amended_darts::mixed::fused {

float* const* BackwardPass::edge_grads(int64_t e) const {
  return io_.grad_params.empty() ? no_grads_.data() : io_.grad_params.data() + e * io_.num_params();
}

bool BackwardPass::wants_params(int64_t e, const Layer& layer) const {
  float* const* grads = edge_grads(e);
  if (layer.depthwise && grads[layer.param] != nullptr) return true;
  return std::any_of(layer.taps.begin(), layer.taps.end(), [&](const Tap& tap) { return grads[tap.param] != nullptr; });
}

bool BackwardPass::wants_first(int64_t e, const Branch& branch) const {
  return branch.layers.size() > 1 && (wants_x() || wants_params(e, branch.layers[0]));
}

bool BackwardPass::wants_last(int64_t e, const Branch& branch) const {
  if (wants_x() || wants_params(e, branch.layers.back())) return true;
  return branch.layers.size() > 1 && (wants_norms() || wants_first(e, branch));
}

// Whether anything needs the sum of the gradient times the term's value.
bool BackwardPass::needs_dot(int64_t e, const SumTerm& term) const {
  if (term.source == Source::none) return false;
  if (io_.grad_weights != nullptr) return true;
  if (term.norm < 0) return false;
  const bool beyond = term.source == Source::branch ? wants_last(e, branch_of(term)) : wants_x();
  return wants_norms() || (io_.batch_stats && beyond);
}

bool BackwardPass::needs_shared_dots() const {
  return std::any_of(call_.plan.terms.begin(), call_.plan.terms.end(),
                     [&](const SumTerm& term) { return term.source != Source::branch && needs_dot(0, term); });
}

bool BackwardPass::needs_values(int64_t e) const {
  return std::any_of(call_.plan.terms.begin(), call_.plan.terms.end(), [&](const SumTerm& term) {
    if (needs_dot(e, term)) return true;
    return term.source == Source::branch && !saved() && branch_of(term).layers.size() > 1 &&
           wants_last(e, branch_of(term));
  });
}

Planes BackwardPass::output(int64_t e, const Branch& branch, size_t layer, int64_t n) const {
  const int64_t slot = branch.slot + static_cast<int64_t>(layer);
  // Saved outputs are only read.
  float* base = saved() ? const_cast<float*>(io_.saved[static_cast<size_t>(e)]) + slot * io_.shape.n * g_.out_image()
                        : outputs_[static_cast<size_t>(slot)];
  return {base + n * g_.out_image(), g_.out_pixels() * g_.width};
}

Planes BackwardPass::inner_grad(const Branch& branch, int64_t n) const {
  return {inner_grads_[static_cast<size_t>(branch.slot) + 1] + n * g_.out_image(), g_.out_pixels() * g_.width};
}

void BackwardPass::add_sums(const RowSums* grads, const RowSums* dots, ConstPlanes grad, ConstPlanes value,
                            const float* center, int64_t row) {
  for (int64_t b = 0; b < g_.out_blocks; ++b) {
    const int64_t lane = b * g_.width;
    if (grads != nullptr) call_.kernels.sum(grad.at(b), g_.out_pixels(), grads->at(row, lane));
    if (dots != nullptr) {
      call_.kernels.dot(grad.at(b), value.at(b), center + lane, g_.out_pixels(), dots->at(row, lane));
    }
  }
}

void BackwardPass::through_norm(const NormBackward& norm, float factor, ConstPlanes grad, ConstPlanes z,
                                bool accumulate, Planes out) {
  for (int64_t b = 0; b < g_.out_blocks; ++b) {
    const int64_t lane = b * g_.width;
    NormGrad constants{factor, norm.a.data() + lane, nullptr, nullptr, nullptr};
    if (!norm.b.empty()) {
      constants.b = norm.b.data() + lane;
      constants.k = norm.k.data() + lane;
      constants.center = norm.center + lane;
    }
    call_.kernels.norm_grad(constants, grad.at(b), z.data != nullptr ? z.at(b) : nullptr, g_.out_pixels(), accumulate,
                            out.at(b));
  }
}

void BackwardPass::values(Worker& worker, int64_t e, int64_t n) {
  const bool recomputes = !saved() && !call_.plan.branches.empty();
  const bool shared = e == 0 && needs_shared_dots();
  if (shared || recomputes) call_.load_x(n, worker.x, recomputes ? worker.relu : Planes{});
  load_grad(worker, e, n);
  if (e == 0 || !needs_shared_dots())
    add_sums(&grad_sums_[index(e)], nullptr, worker.grad, {}, nullptr, row(worker, n));
  for (size_t t = 0; t < call_.plan.terms.size(); ++t) {
    const SumTerm& term = call_.plan.terms[t];
    if (term.source != Source::branch) continue;
    if (recomputes) recompute(worker, e, term, n);
    if (!needs_dot(e, term)) continue;
    const Branch& branch = branch_of(term);
    add_sums(nullptr, &dots_[t][0], worker.grad, output(e, branch, branch.layers.size() - 1, n), center(e, term.norm),
             row(worker, n));
  }
  if (shared) shared_values(worker, n);
}

// The layers' outputs once more, as far as they are needed.
void BackwardPass::recompute(Worker& worker, int64_t e, const SumTerm& term, int64_t n) {
  const Branch& branch = branch_of(term);
  const bool last = needs_dot(e, term), two = branch.layers.size() > 1;
  if (!last && !(two && wants_last(e, branch))) return;
  const Planes first = output(e, branch, 0, n);
  layer_forward(call_.kernels, g_, branch.layers[0], weights_of(branch, 0), worker.relu, worker.gathered, first);
  if (!two || !last) return;
  call_.second_input(branch, constants_[index(e)], first, worker.inner);
  layer_forward(call_.kernels, g_, branch.layers[1], weights_of(branch, 1), worker.inner, worker.gathered,
                output(e, branch, 1, n));
}

void BackwardPass::pool_image(const Worker& worker, Source source, Planes out) {
  const auto pool = source == Source::max_pool ? call_.kernels.max_pool : call_.kernels.avg_pool;
  for (int64_t b = 0; b < g_.out_blocks; ++b) pool(call_.pool(worker.pool_scratch), worker.x.at(b), out.at(b));
}

// The pools and x meet the gradients of all edges.
void BackwardPass::shared_values(Worker& worker, int64_t n) {
  const auto& terms = call_.plan.terms;
  const auto value = [&](const SumTerm& term) {
    return term.source == Source::x ? worker.x : term.source == Source::max_pool ? worker.max : worker.avg;
  };
  if (call_.plan.has_max) pool_image(worker, Source::max_pool, worker.max);
  if (call_.plan.has_avg) pool_image(worker, Source::avg_pool, worker.avg);
  for (int64_t e = 0; e < io_.edges; ++e) {
    if (e > 0) {
      load_grad(worker, e, n);
      add_sums(&grad_sums_[index(e)], nullptr, worker.grad, {}, nullptr, row(worker, n));
    }
    for (size_t t = 0; t < terms.size(); ++t) {
      if (terms[t].source == Source::branch || !needs_dot(e, terms[t])) continue;
      add_sums(nullptr, &dots_[t][index(e)], worker.grad, value(terms[t]), center(e, terms[t].norm), row(worker, n));
    }
  }
}

void BackwardPass::outer(Worker& worker, int64_t e, int64_t n) {
  const bool single = call_.plan.has_single_layer;
  if (single || (e == 0 && wants_x() && call_.plan.has_pool())) {
    call_.load_x(n, worker.x, single ? worker.relu : Planes{});
  }
  start_grad_x(worker, e, /*inner=*/false, n);
  load_grad(worker, e, n);
  for (size_t t = 0; t < call_.plan.terms.size(); ++t) {
    const SumTerm& term = call_.plan.terms[t];
    if (term.source != Source::branch || !wants_last(e, branch_of(term))) continue;
    const Branch& branch = branch_of(term);
    const size_t last = branch.layers.size() - 1;
    const Layer& layer = branch.layers[last];
    const float weight = io_.weight_row(e, n)[term.candidate];
    through_norm(norms_[index(e)][t], weight, worker.grad, output(e, branch, last, n), false, worker.grad_z);
    LayerGrad grad{partial(worker, e, branch, last), {}, true};
    if (last == 0) {
      add_to_relu(grad, worker);
      layer_backward(call_.kernels, g_, layer, weights_of(branch, 0), worker.relu, worker.grad_z, worker.gathered,
                     worker.spread, grad);
      continue;
    }
    const Planes first = output(e, branch, 0, n);
    call_.second_input(branch, constants_[index(e)], first, worker.inner);
    if (wants_norms() || wants_first(e, branch)) {
      grad.in = inner_grad(branch, n);
      grad.accumulate = false;
    }
    layer_backward(call_.kernels, g_, layer, weights_of(branch, 1), worker.inner, worker.grad_z, worker.gathered,
                   worker.spread, grad);
    if (grad.in.data != nullptr) through_second_input(worker, e, branch, first, grad.in);
  }
  finish_grad_x(worker, e, /*inner=*/false, n);
}

// Back through the ReLU between two layers, with the sums that the BatchNorm before it needs.
void BackwardPass::through_second_input(const Worker& worker, int64_t e, const Branch& branch, ConstPlanes first,
                                        Planes grad) {
  const int norm = branch.layers[0].norm;
  const GradSums& sums = inner_sums_[static_cast<size_t>(branch.slot)];
  const NormConstants& constants = constants_[index(e)];
  for (int64_t b = 0; b < g_.out_blocks; ++b) {
    call_.kernels.masked_sums(first.at(b), call_.at(constants.center, norm, b), call_.at(constants.scale, norm, b),
                              call_.at(constants.bias, norm, b), g_.out_pixels(), grad.at(b),
                              sums.grad.at(worker.block, b * g_.width), sums.dot.at(worker.block, b * g_.width));
  }
}

void BackwardPass::inner(Worker& worker, int64_t e, int64_t n) {
  call_.load_x(n, worker.x, worker.relu);
  start_grad_x(worker, e, /*inner=*/true, n);
  for (const Branch& branch : call_.plan.branches) {
    if (!wants_first(e, branch)) continue;
    through_norm(inner_norms_[static_cast<size_t>(branch.slot)], 1.0f, inner_grad(branch, n), output(e, branch, 0, n),
                 false, worker.grad_z);
    LayerGrad grad{partial(worker, e, branch, 0), {}, true};
    add_to_relu(grad, worker);
    layer_backward(call_.kernels, g_, branch.layers[0], weights_of(branch, 0), worker.relu, worker.grad_z,
                   worker.gathered, worker.spread, grad);
  }
  finish_grad_x(worker, e, /*inner=*/true, n);
}

void BackwardPass::load_grad(Worker& worker, int64_t e, int64_t n) {
  if (worker.grad_edge == e && worker.grad_image == n) return;
  call_.pack_out(grad_y(e, n), worker.grad);
  worker.grad_edge = e;
  worker.grad_image = n;
}

// Whether a pass has anything for grad_x: the first one what the edges share, the others first layers.
bool BackwardPass::adds_to_x(int64_t e, bool inner) const {
  return wants_x() && (inner || e == 0 || call_.plan.has_single_layer);
}

// The gradient of x so far: nothing, and then the shared terms of all edges, or what earlier passes left.
void BackwardPass::start_grad_x(Worker& worker, int64_t e, bool inner, int64_t n) {
  worker.relu_reached = false;
  if (!adds_to_x(e, inner)) return;
  if (e == 0 && !inner) {
    const Planes grad_x = stays_in_blocks(e, inner) ? blocks_of_grad_x(n) : worker.grad_x;
    std::fill_n(grad_x.data, g_.in_image(), 0.0f);
    shared_grads(worker, grad_x, n);
  } else if (g_.channels.in_lanes() != g_.channels.in) {
    call_.pack_in(io_.grad_x + n * g_.channels.in * g_.in_pixels(), worker.grad_x);
  }
}

// A first layer's gradient goes to that of the ReLU: it starts it where it reaches every pixel.
void BackwardPass::add_to_relu(LayerGrad& grad, Worker& worker) const {
  if (!wants_x()) return;
  grad.in = worker.grad_relu;
  grad.accumulate = worker.relu_reached;
  if (!worker.relu_reached && g_.stride != 1) {
    std::fill_n(worker.grad_relu.data, g_.in_image(), 0.0f);
    grad.accumulate = true;
  }
  worker.relu_reached = true;
}

void BackwardPass::finish_grad_x(Worker& worker, int64_t e, bool inner, int64_t n) {
  if (!adds_to_x(e, inner)) return;
  const bool first = e == 0 && !inner, stays = stays_in_blocks(e, inner);
  const Planes to = stays ? blocks_of_grad_x(n) : worker.grad_x;
  const Planes from = !first && g_.channels.in_lanes() == g_.channels.in ? blocks_of_grad_x(n) : to;
  if (worker.relu_reached) {
    for (int64_t b = 0; b < g_.in_blocks; ++b) {
      call_.kernels.mask_add(worker.x.at(b), worker.grad_relu.at(b), from.at(b), g_.in_pixels(), to.at(b));
    }
  }
  if (stays) return;
  call_.unpack_in(worker.grad_x, io_.grad_x + n * g_.channels.in * g_.in_pixels());
}

// grad_x += what reaches x through the identity and the pools, the edges' gradients added up before each pool.
void BackwardPass::shared_grads(Worker& worker, Planes grad_x, int64_t n) {
  const Pool pool = call_.pool(worker.pool_scratch);
  const Planes position = worker.gathered, grad_max = worker.grad_z, grad_avg = worker.spread;
  if (call_.plan.has_max) {
    for (int64_t b = 0; b < g_.out_blocks; ++b) {
      call_.kernels.max_pool_index(pool, worker.x.at(b), worker.max.at(b), position.at(b));
    }
  }
  if (call_.plan.has_avg) pool_image(worker, Source::avg_pool, worker.avg);
  bool max_begun = false, avg_begun = false;
  for (int64_t e = io_.edges - 1; e >= 0; --e) {  // the first edge last: the pass goes on with its gradient
    if (call_.plan.has_shared) load_grad(worker, e, n);
    for (size_t t = 0; t < call_.plan.terms.size(); ++t) {
      const SumTerm& term = call_.plan.terms[t];
      const NormBackward& norm = norms_[index(e)][t];
      const float weight = io_.weight_row(e, n)[term.candidate];
      if (term.source == Source::x) {
        for (int64_t b = 0; b < g_.in_blocks; ++b) {
          call_.kernels.add_scaled(worker.grad.at(b), weight, g_.in_pixels(), grad_x.at(b));
        }
      } else if (term.source == Source::max_pool) {
        through_norm(norm, weight, worker.grad, worker.max, max_begun, grad_max);
        max_begun = true;
      } else if (term.source == Source::avg_pool) {
        through_norm(norm, weight, worker.grad, worker.avg, avg_begun, grad_avg);
        avg_begun = true;
      }
    }
  }
  for (int64_t b = 0; b < g_.in_blocks; ++b) {
    if (max_begun) call_.kernels.max_pool_grad(pool, position.at(b), grad_max.at(b), grad_x.at(b));
    if (avg_begun) call_.kernels.avg_pool_grad(pool, grad_avg.at(b), grad_x.at(b));
  }
}

}  // namespace amended_darts::mixed::fused

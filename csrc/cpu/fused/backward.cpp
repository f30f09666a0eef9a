// Backward: which passes run, the memory they share and what is reduced between them.
#include <algorithm>

#include "backward_pass.h"
#include "fused.h"

namespace amended_darts::mixed::fused {
namespace {

constexpr int64_t kMinBlocks = 4, kMaxBlocks = 32;

bool is_shared(const SumTerm& term) { return term.source != Source::branch && term.source != Source::none; }

// Floats of parameter gradients one block sums: the outer and the inner pass do so one after the other.
int64_t largest_partial(const Plan& plan, const Geometry& g, std::vector<int64_t>& offsets) {
  offsets.assign(static_cast<size_t>(plan.slots), 0);
  int64_t last = 0, first = 0;
  for (const Branch& branch : plan.branches) {
    for (size_t i = 0; i < branch.layers.size(); ++i) {
      int64_t& size = i + 1 == branch.layers.size() ? last : first;
      offsets[static_cast<size_t>(branch.slot) + i] = size;
      size += grad_size(branch.layers[i], g.channels);
    }
  }
  return std::max(first, last);
}

// As many blocks as keep the partial sums of parameter gradients within the size of an activation.
int64_t wanted_blocks(const Edges<float>& edges, const Geometry& g, int64_t partial) {
  const int64_t fit = partial > 0 ? edges.shape.n * g.in_image() / partial : kMaxBlocks;
  return std::clamp(fit, kMinBlocks, kMaxBlocks);
}

}  // namespace

BackwardPass::BackwardPass(const Backward<float>& io) : io_(io), call_(io), g_(call_.geometry), blocks_(0, 0) {
  partial_size_ = largest_partial(call_.plan, g_, partial_offsets_);
  blocks_ = Blocks(io.shape.n, wanted_blocks(io, g_, partial_size_));
  if (io_.grad_params.empty()) partial_size_ = 0;
  no_grads_.assign(static_cast<size_t>(io.num_params()), nullptr);
  norms_.assign(index(io.edges), std::vector<NormBackward>(call_.plan.terms.size()));
  for (int64_t e = 0; e < io.edges; ++e) constants_.push_back(call_.norm_constants(e, io.mean, io.var));
  inner_norms_.resize(static_cast<size_t>(call_.plan.slots));
  Carver measure;
  Buffers sizes;
  carve(measure, sizes);
  scratch_size_ = measure.size();
  carve_shared(Carver());
  carve_shared(Carver(workspace_.shared(shared_size_)));
}

BackwardPass::Worker::Worker(BackwardPass& pass) : scratch(pass.workspace_, pass.scratch_size_) {
  const Geometry& g = pass.g_;
  Carver carver(scratch.data());
  pass.carve(carver, *this);
  clear_halo(relu, g.in_blocks, g.halo * g.w * g.width);
  clear_halo(inner, g.in_blocks, g.halo * g.out_w * g.width);
  clear_halo(spread, g.in_blocks, g.halo * g.out_w * g.width);
}

void BackwardPass::carve(Carver& carver, Buffers& to) const {
  to.x = take_in(carver, g_);
  to.relu = take_in_halo(carver, g_);
  to.grad_x = take_in(carver, g_);
  to.grad_relu = take_in(carver, g_);
  to.inner = take_gathered_halo(carver, g_);
  to.grad = take_out(carver, g_);
  to.grad_z = take_out(carver, g_);
  to.gathered = take_gathered(carver, g_);
  to.spread = take_gathered_halo(carver, g_);
  to.max = take_out(carver, g_);
  to.avg = take_out(carver, g_);
  to.pool_scratch = carver.take(pool_scratch_size(g_.w, static_cast<int>(g_.width)));
}

void BackwardPass::carve_shared(Carver carver) {
  const int64_t layer_outputs = io_.shape.n * g_.out_image();
  const size_t slots = static_cast<size_t>(call_.plan.slots);
  outputs_.assign(saved() ? 0 : slots, nullptr);
  for (float*& output : outputs_) output = carver.take(layer_outputs);
  inner_grads_.assign(slots, nullptr);
  for (const Branch& branch : call_.plan.branches) {
    if (branch.layers.size() < 2) continue;
    const size_t second = static_cast<size_t>(branch.slot) + 1;
    // The gradient of a second layer's input takes the place of its output, which nobody reads any more.
    inner_grads_[second] = saved() ? carver.take(layer_outputs) : outputs_[second];
  }
  partials_ = carver.take(blocks_.count * partial_size_);

  const int64_t before = carver.size();
  const int64_t row_sums = rows() * g_.channels.out_lanes();
  sums_ = carver.take_doubles(0);
  const auto take = [&]() { return RowSums{carver.take_doubles(row_sums), g_.channels.out_lanes()}; };
  grad_sums_.clear();
  for (int64_t e = 0; e < io_.edges; ++e) grad_sums_.push_back(take());
  dots_.assign(call_.plan.terms.size(), {});
  for (size_t t = 0; t < dots_.size(); ++t) {
    for (int64_t e = 0; e < (is_shared(call_.plan.terms[t]) ? io_.edges : 1); ++e) dots_[t].push_back(take());
  }
  inner_sums_.assign(slots, {});
  for (const Branch& branch : call_.plan.branches) {
    if (branch.layers.size() > 1) inner_sums_[static_cast<size_t>(branch.slot)] = {take(), take(), blocks_.count};
  }
  shared_size_ = carver.size();
  sums_size_ = (shared_size_ - before) / 2;  // in doubles
}

void BackwardPass::run() {
  for (int64_t e = 0; e < io_.edges; ++e) run_edge(e);
}

void BackwardPass::run_edge(int64_t e) {
  const Plan& plan = call_.plan;
  const auto any_branch = [&](auto&& wanted) {
    return std::any_of(plan.branches.begin(), plan.branches.end(), wanted);
  };
  const bool any_last = any_branch([&](const Branch& branch) { return wants_last(e, branch); });
  const bool any_first = any_branch([&](const Branch& branch) { return wants_first(e, branch); });
  weights_ = call_.pack_edge(e, /*backward=*/true);

  clear_sums(e);
  if (needs_values(e)) for_images([&](Worker& worker, int64_t n) { values(worker, e, n); });
  if (e == 0) {
    for (int64_t edge = 0; edge < io_.edges; ++edge) finish_values(edge, /*shared=*/true);
  }
  finish_values(e, /*shared=*/false);
  if (io_.grad_weights != nullptr) finish_weights(e);

  if (any_last || (wants_x() && e == 0)) {
    for_images([&](Worker& worker, int64_t n) { outer(worker, e, n); });
    unpack_params(e, /*outer=*/true);
    finish_inner(e);
  }
  if (any_first) {
    for_images([&](Worker& worker, int64_t n) { inner(worker, e, n); });
    unpack_params(e, /*outer=*/false);
  }
}

void BackwardPass::for_images(const Body& body) {
  parallel_for(blocks_.count, 1, [&](int64_t begin, int64_t end) {
    Worker worker(*this);
    for (worker.block = begin; worker.block < end; ++worker.block) {
      worker.partials = partials_ + worker.block * partial_size_;
      std::fill_n(worker.partials, partial_size_, 0.0f);
      for (int64_t n = blocks_.begin(worker.block); n < blocks_.end(worker.block); ++n) body(worker, n);
    }
  });
}

void BackwardPass::clear_sums(int64_t e) {
  if (e == 0) {
    std::fill_n(sums_, sums_size_, 0.0);
    return;
  }
  const int64_t row_sums = rows() * g_.channels.out_lanes();
  if (!needs_shared_dots()) std::fill_n(grad_sums_[index(e)].data, row_sums, 0.0);
  for (size_t t = 0; t < dots_.size(); ++t) {
    if (!is_shared(call_.plan.terms[t])) std::fill_n(dots_[t][0].data, row_sums, 0.0);
  }
  for (const GradSums& sums : inner_sums_) {
    if (sums.rows == 0) continue;
    std::fill_n(sums.grad.data, sums.rows * g_.channels.out_lanes(), 0.0);
    std::fill_n(sums.dot.data, sums.rows * g_.channels.out_lanes(), 0.0);
  }
}

GradSums BackwardPass::term_sums(int64_t e, size_t term) const {
  const auto& dots = dots_[term];
  return {grad_sums_[static_cast<size_t>(e)], dots.size() > 1 ? dots[static_cast<size_t>(e)] : dots[0], rows()};
}

// BatchNorms of the terms whose sums are complete: the shared ones with the first edge, the others with their own.
void BackwardPass::finish_values(int64_t e, bool shared) {
  for (size_t t = 0; t < call_.plan.terms.size(); ++t) {
    const SumTerm& term = call_.plan.terms[t];
    if (term.source == Source::none || is_shared(term) != shared) continue;
    NormBackward& norm = norms_[index(e)][t];
    if (term.norm < 0) {
      norm.a.assign(index(g_.channels.out_lanes()), 1.0f);
      continue;
    }
    const auto weight = [&](int64_t row) { return io_.weight_row(e, io_.per_sample ? row : 0)[term.candidate]; };
    norm = norm_backward(call_, e, term.norm, io_.var, term_sums(e, t), weight, io_.grad_bn_weight, io_.grad_bn_bias);
    norm.center = center(e, term.norm);
  }
}

void BackwardPass::finish_weights(int64_t e) {
  const int64_t candidates = io_.num_candidates();
  for (size_t t = 0; t < call_.plan.terms.size(); ++t) {
    const SumTerm& term = call_.plan.terms[t];
    double total = 0;
    for (int64_t row = 0; row < rows(); ++row) {
      const double grad =
          term.source == Source::none ? 0.0 : weight_grad(call_, e, term.norm, io_.var, term_sums(e, t), row);
      if (io_.per_sample) io_.grad_weights[(e * rows() + row) * candidates + term.candidate] = static_cast<float>(grad);
      total += grad;
    }
    if (!io_.per_sample) io_.grad_weights[e * candidates + term.candidate] = static_cast<float>(total);
  }
}

void BackwardPass::finish_inner(int64_t e) {
  const auto once = [](int64_t) { return 1.0f; };
  for (const Branch& branch : call_.plan.branches) {
    if (branch.layers.size() < 2 || !wants_last(e, branch)) continue;
    const size_t slot = static_cast<size_t>(branch.slot);
    inner_norms_[slot] = norm_backward(call_, e, branch.layers[0].norm, io_.var, inner_sums_[slot], once,
                                       io_.grad_bn_weight, io_.grad_bn_bias);
    inner_norms_[slot].center = center(e, branch.layers[0].norm);
  }
}

void BackwardPass::unpack_params(int64_t e, bool outer) {
  for (const Branch& branch : call_.plan.branches) {
    if (!outer && branch.layers.size() < 2) continue;
    const size_t i = outer ? branch.layers.size() - 1 : 0;
    const Layer& layer = branch.layers[i];
    if (!wants_params(e, layer)) continue;
    unpack_grads(layer, partials_ + partial_offsets_[static_cast<size_t>(branch.slot) + i], blocks_.count,
                 partial_size_, g_.channels, edge_grads(e));
  }
}

void backward(const Backward<float>& io) {
  if (io.shape.out_size() == 0) return;
  BackwardPass(io).run();
}

}  // namespace amended_darts::mixed::fused

// Forward: first layers and pools, their statistics; second layers, theirs; the weighted sum.
#include <algorithm>

#include "call.h"
#include "fused.h"
#include "statistics.h"

namespace amended_darts::mixed::fused {
namespace {

constexpr int64_t kMaxBlocks = 32;

class ForwardPass {
 public:
  explicit ForwardPass(const Forward<float>& io)
      : io_(io), call_(io), g_(call_.geometry), blocks_(io.shape.n, kMaxBlocks) {
    Carver measure;
    Buffers sizes;
    carve(measure, sizes);
    scratch_size_ = measure.size();
    carve_shared(Carver());
    carve_shared(Carver(workspace_.shared(shared_size_)));
  }

  void run() {
    for (int64_t e = 0; e < io_.edges; ++e) run_edge(e);
  }

 private:
  struct Buffers {
    Planes x, relu, inner, gathered, y;
    float* pool;
  };

  // A worker's memory.
  struct Worker : Buffers {
    Workspace::Scratch scratch;
    std::vector<Term> terms;
    std::vector<float> scales, bias;
    std::vector<double> mean, m2;
    int64_t block = 0;

    explicit Worker(ForwardPass& pass) : scratch(pass.workspace_, pass.scratch_size_) {
      const Geometry& g = pass.g_;
      Carver carver(scratch.data());
      pass.carve(carver, *this);
      clear_halo(relu, g.in_blocks, g.halo * g.w * g.width);
      clear_halo(inner, g.in_blocks, g.halo * g.out_w * g.width);
      mean.resize(static_cast<size_t>(g.width));
      m2.resize(static_cast<size_t>(g.width));
    }
  };

  void carve(Carver& carver, Buffers& to) const {
    to.x = take_in(carver, g_);
    to.relu = take_in_halo(carver, g_);
    to.inner = take_gathered_halo(carver, g_);
    to.gathered = take_gathered(carver, g_);
    to.y = take_out(carver, g_);
    to.pool = carver.take(pool_scratch_size(g_.w, static_cast<int>(g_.width)));
  }

  // What lives from one pass over the images to the next.
  void carve_shared(Carver carver) {
    const int64_t layer_outputs = io_.shape.n * g_.out_image();
    slots_.clear();
    moments_.clear();
    if (io_.saved.empty()) {
      for (size_t i = 0; i < call_.plan.branches.size(); ++i) slots_.push_back(carver.take(layer_outputs));
    }
    if (call_.plan.has_max) max_ = carver.take(layer_outputs);
    if (call_.plan.has_avg) avg_ = carver.take(layer_outputs);
    for (int64_t i = 0; i < call_.norms(); ++i) {
      moments_.push_back({carver.take_doubles(2 * blocks_.count * g_.channels.out_lanes()), g_.channels.out_lanes()});
    }
    shared_size_ = carver.size();
  }

  // A layer's output for one image. Without `saved` the second layer overwrites the first.
  Planes output(int64_t e, int branch, int layer, int64_t n) const {
    float* base = io_.saved.empty() ? slots_[static_cast<size_t>(branch)]
                                    : io_.saved[static_cast<size_t>(e)] +
                                          (call_.plan.branches[static_cast<size_t>(branch)].slot + layer) *
                                              io_.shape.n * g_.out_image();
    return image(base, n);
  }
  Planes image(float* base, int64_t n) const { return {base + n * g_.out_image(), g_.out_pixels() * g_.width}; }

  void run_edge(int64_t e) {
    weights_ = call_.pack_edge(e, /*backward=*/false);
    if (!io_.batch_stats) use_given_statistics(e);
    for_images([&](Worker& worker, int64_t n) { first_layers(worker, e, n); });
    if (io_.batch_stats) {
      for (const SumTerm& term : call_.plan.terms) {
        if (term.source == Source::max_pool || term.source == Source::avg_pool) finish_norm(e, term.norm);
      }
      for (const Branch& branch : call_.plan.branches) finish_norm(e, branch.layers[0].norm);
    }
    if (call_.plan.has_second_layer) {
      constants_ = call_.norm_constants(e, io_.mean, io_.var);
      for_images([&](Worker& worker, int64_t n) { second_layers(worker, e, n); });
      if (io_.batch_stats) {
        for (const Branch& branch : call_.plan.branches) {
          if (branch.layers.size() > 1) finish_norm(e, branch.layers[1].norm);
        }
      }
    }
    constants_ = call_.norm_constants(e, io_.mean, io_.var);
    for_images([&](Worker& worker, int64_t n) { weighted_sum(worker, e, n); });
  }

  void for_images(const std::function<void(Worker&, int64_t)>& body) {
    parallel_for(blocks_.count, 1, [&](int64_t begin, int64_t end) {
      Worker worker(*this);
      for (worker.block = begin; worker.block < end; ++worker.block) {
        for (int64_t n = blocks_.begin(worker.block); n < blocks_.end(worker.block); ++n) body(worker, n);
      }
    });
  }

  void use_given_statistics(int64_t e) {
    const int64_t from = call_.norm_row(e, 0), count = call_.norms() * g_.channels.out;
    std::copy_n(io_.running_mean + from, count, io_.mean + from);
    std::copy_n(io_.running_var + from, count, io_.var + from);
  }

  void finish_norm(int64_t e, int norm) {
    if (norm < 0) return;
    const int64_t row = call_.norm_row(e, norm);
    batch_statistics(moments_[static_cast<size_t>(norm)], blocks_, g_.out_pixels(), g_.channels.out, io_.mean + row,
                     io_.var + row);
  }

  void collect(Worker& worker, ConstPlanes z, int norm, int64_t n) {
    if (!io_.batch_stats || norm < 0) return;
    const Moments& moments = moments_[static_cast<size_t>(norm)];
    const int64_t before = (n - blocks_.begin(worker.block)) * g_.out_pixels();
    for (int64_t b = 0; b < g_.out_blocks; ++b) {
      call_.kernels.moments(z.at(b), g_.out_pixels(), worker.mean.data(), worker.m2.data());
      moments.merge(worker.block, b * g_.width, g_.width, before, g_.out_pixels(), worker.mean.data(),
                    worker.m2.data());
    }
  }

  void first_layers(Worker& worker, int64_t e, int64_t n) {
    const bool pools = e == 0 && call_.plan.has_pool();  // the edges share them
    if (!pools && call_.plan.branches.empty()) return;
    call_.load_x(n, worker.x, call_.plan.branches.empty() ? Planes{} : worker.relu);
    if (pools) pool_image(worker, n);
    for (size_t i = 0; i < call_.plan.branches.size(); ++i) {
      const Branch& branch = call_.plan.branches[i];
      const Planes z = output(e, static_cast<int>(i), 0, n);
      layer_forward(call_.kernels, g_, branch.layers[0], weights_[static_cast<size_t>(branch.slot)], worker.relu,
                    worker.gathered, z);
      collect(worker, z, branch.layers[0].norm, n);
    }
  }

  void pool_image(Worker& worker, int64_t n) {
    const Pool pool = call_.pool(worker.pool);
    for (int64_t b = 0; b < g_.out_blocks; ++b) {
      if (max_ != nullptr) call_.kernels.max_pool(pool, worker.x.at(b), image(max_, n).at(b));
      if (avg_ != nullptr) call_.kernels.avg_pool(pool, worker.x.at(b), image(avg_, n).at(b));
    }
    for (const SumTerm& term : call_.plan.terms) {
      if (term.source == Source::max_pool) collect(worker, image(max_, n), term.norm, n);
      if (term.source == Source::avg_pool) collect(worker, image(avg_, n), term.norm, n);
    }
  }

  void second_layers(Worker& worker, int64_t e, int64_t n) {
    for (size_t i = 0; i < call_.plan.branches.size(); ++i) {
      const Branch& branch = call_.plan.branches[i];
      if (branch.layers.size() < 2) continue;
      const Planes first = output(e, static_cast<int>(i), 0, n), z = output(e, static_cast<int>(i), 1, n);
      call_.second_input(branch, constants_, first, worker.inner);
      layer_forward(call_.kernels, g_, branch.layers[1], weights_[static_cast<size_t>(branch.slot) + 1], worker.inner,
                    worker.gathered, z);
      collect(worker, z, branch.layers[1].norm, n);
    }
  }

  void weighted_sum(Worker& worker, int64_t e, int64_t n) {
    const float* weights = io_.weight_row(e, n);
    const bool needs_x = std::any_of(call_.plan.terms.begin(), call_.plan.terms.end(),
                                     [](const SumTerm& term) { return term.source == Source::x; });
    if (needs_x) call_.load_x(n, worker.x, {});
    const size_t width = static_cast<size_t>(g_.width);
    for (int64_t b = 0; b < g_.out_blocks; ++b) {
      worker.terms.clear();
      worker.bias.assign(width, 0.0f);
      worker.scales.resize(call_.plan.terms.size() * width);
      for (const SumTerm& term : call_.plan.terms) {
        const float weight = weights[term.candidate];
        float* scale = worker.scales.data() + worker.terms.size() * width;
        for (size_t i = 0; i < width; ++i) {
          scale[i] = term.norm < 0 ? weight : weight * call_.at(constants_.scale, term.norm, b)[i];
          if (term.norm >= 0) worker.bias[i] += weight * call_.at(constants_.bias, term.norm, b)[i];
          if (term.source == Source::none) worker.bias[i] += weight * 0.0f;  // a NaN weight shows
        }
        if (term.source == Source::none) continue;
        const float* center = term.norm < 0 ? call_.zeros.data() : call_.at(constants_.center, term.norm, b);
        worker.terms.push_back({value(worker, term, e, n).at(b), center, scale});
      }
      call_.kernels.combine(worker.terms.data(), static_cast<int64_t>(worker.terms.size()), worker.bias.data(),
                            g_.out_pixels(), worker.y.at(b));
    }
    call_.unpack_out(worker.y, io_.y[static_cast<size_t>(e)] + n * g_.channels.out * g_.out_pixels());
  }

  ConstPlanes value(const Worker& worker, const SumTerm& term, int64_t e, int64_t n) const {
    switch (term.source) {
      case Source::x: return worker.x;
      case Source::max_pool: return image(max_, n);
      case Source::avg_pool: return image(avg_, n);
      case Source::branch: {
        const size_t layers = call_.plan.branches[static_cast<size_t>(term.branch)].layers.size();
        return output(e, term.branch, static_cast<int>(layers) - 1, n);
      }
      case Source::none: break;
    }
    return {};
  }

  const Forward<float>& io_;
  Call call_;
  const Geometry& g_;
  Workspace workspace_;
  Blocks blocks_;
  int64_t scratch_size_ = 0, shared_size_ = 0;
  std::vector<float*> slots_;  // one per branch
  float *max_ = nullptr, *avg_ = nullptr;
  std::vector<Moments> moments_;  // one per norm
  std::vector<LayerWeights> weights_;
  NormConstants constants_;
};

}  // namespace

void forward(const Forward<float>& io) {
  if (io.shape.out_size() == 0) return;
  ForwardPass(io).run();
}

int64_t saved_size(const Edges<float>& edges) {
  const Call call(edges);
  return call.plan.slots * edges.shape.n * call.geometry.out_image();
}

}  // namespace amended_darts::mixed::fused

// Backward of one call, edge by edge, in up to three passes over the images:
//   values  what the sums need: layers computed again (unless saved), gradients times outputs
//   outer   through every branch's last layer, the pools and the identity
//   inner   through the first layers of branches with two
// Only what the asked-for gradients need is computed.
#pragma once

#include <cstdint>
#include <vector>

#include "call.h"
#include "norm_backward.h"
#include "statistics.h"

namespace amended_darts::mixed::fused {

class BackwardPass {
 public:
  explicit BackwardPass(const Backward<float>& io);
  void run();

 private:
  struct Buffers {
    Planes x, relu, grad_x, grad_relu;                       // of x's size
    Planes inner, grad, grad_z, gathered, spread, max, avg;  // of y's size
    float* pool_scratch = nullptr;
  };
  // A worker's memory and the block of images it is at.
  struct Worker : Buffers {
    Workspace::Scratch scratch;
    int64_t block = 0;
    float* partials = nullptr;
    int64_t grad_edge = -1, grad_image = -1;  // whose gradient `grad` holds
    bool relu_reached = false;                // something was added to grad_relu

    explicit Worker(BackwardPass& pass);
  };
  using Body = std::function<void(Worker&, int64_t)>;

  // backward.cpp: memory, order, reductions
  void carve(Carver& carver, Buffers& to) const;
  void carve_shared(Carver carver);
  void run_edge(int64_t e);
  void for_images(const Body& body);
  void clear_sums(int64_t e);
  void finish_values(int64_t e, bool shared);
  void finish_weights(int64_t e);
  void finish_inner(int64_t e);
  void unpack_params(int64_t e, bool outer);

  // backward_images.cpp: one image of a pass
  void values(Worker& worker, int64_t e, int64_t n);
  void recompute(Worker& worker, int64_t e, const SumTerm& term, int64_t n);
  void shared_values(Worker& worker, int64_t n);
  void outer(Worker& worker, int64_t e, int64_t n);
  void inner(Worker& worker, int64_t e, int64_t n);
  void load_grad(Worker& worker, int64_t e, int64_t n);
  void start_grad_x(Worker& worker, int64_t e, bool inner, int64_t n);
  void add_to_relu(LayerGrad& grad, Worker& worker) const;
  void finish_grad_x(Worker& worker, int64_t e, bool inner, int64_t n);
  void shared_grads(Worker& worker, Planes grad_x, int64_t n);
  void pool_image(const Worker& worker, Source source, Planes out);
  void add_sums(const RowSums* grads, const RowSums* dots, ConstPlanes grad, ConstPlanes value, const float* center,
                int64_t row);
  void through_norm(const NormBackward& norm, float factor, ConstPlanes grad, ConstPlanes z, bool accumulate,
                    Planes out);
  void through_second_input(const Worker& worker, int64_t e, const Branch& branch, ConstPlanes first, Planes grad);

  // what is asked for
  bool wants_x() const { return io_.grad_x != nullptr; }
  bool wants_norms() const { return io_.grad_bn_weight != nullptr || io_.grad_bn_bias != nullptr; }
  bool wants_params(int64_t e, const Layer& layer) const;
  bool wants_first(int64_t e, const Branch& branch) const;  // the first of two layers
  bool wants_last(int64_t e, const Branch& branch) const;
  bool needs_dot(int64_t e, const SumTerm& term) const;
  bool needs_shared_dots() const;
  bool needs_values(int64_t e) const;

  // Passes over grad_x: the first one starts from nothing; those between leave it in blocks where these have room.
  bool adds_to_x(int64_t e, bool inner) const;
  bool is_last_pass(int64_t e, bool inner) const {
    return e == (call_.plan.branches.empty() ? 0 : io_.edges - 1) && inner == call_.plan.has_second_layer;
  }
  bool stays_in_blocks(int64_t e, bool inner) const {
    return g_.channels.in_lanes() == g_.channels.in && !is_last_pass(e, inner);
  }
  Planes blocks_of_grad_x(int64_t n) const { return {io_.grad_x + n * g_.in_image(), g_.in_pixels() * g_.width}; }

  bool saved() const { return !io_.saved.empty(); }
  int64_t rows() const { return io_.per_sample ? io_.shape.n : blocks_.count; }
  int64_t row(const Worker& worker, int64_t n) const { return io_.per_sample ? n : worker.block; }
  const Branch& branch_of(const SumTerm& term) const { return call_.plan.branches[static_cast<size_t>(term.branch)]; }
  const LayerWeights& weights_of(const Branch& branch, size_t layer) const {
    return weights_[static_cast<size_t>(branch.slot) + layer];
  }
  // zeros without a BatchNorm
  const float* center(int64_t e, int norm) const {
    return norm < 0 ? call_.zeros.data() : call_.at(constants_[index(e)].center, norm, 0);
  }
  float* partial(const Worker& worker, int64_t e, const Branch& branch, size_t layer) const {
    if (!wants_params(e, branch.layers[layer])) return nullptr;
    return worker.partials + partial_offsets_[static_cast<size_t>(branch.slot) + layer];
  }
  static size_t index(int64_t i) { return static_cast<size_t>(i); }
  const float* grad_y(int64_t e, int64_t n) const {
    return io_.grad_y[static_cast<size_t>(e)] + n * g_.channels.out * g_.out_pixels();
  }
  float* const* edge_grads(int64_t e) const;
  Planes output(int64_t e, const Branch& branch, size_t layer, int64_t n) const;
  Planes inner_grad(const Branch& branch, int64_t n) const;
  GradSums term_sums(int64_t e, size_t term) const;

  const Backward<float>& io_;
  Call call_;
  const Geometry& g_;
  Blocks blocks_;
  Workspace workspace_;
  int64_t scratch_size_ = 0, shared_size_ = 0, sums_size_ = 0, partial_size_ = 0;
  std::vector<int64_t> partial_offsets_;    // by slot; the outer and the inner pass share the memory
  std::vector<float*> outputs_;             // by slot, empty with saved outputs
  std::vector<float*> inner_grads_;         // by slot of the second layer
  std::vector<RowSums> grad_sums_;          // by edge
  std::vector<std::vector<RowSums>> dots_;  // by term, then by edge where the edges share its value
  std::vector<GradSums> inner_sums_;        // by slot of the first layer
  double* sums_ = nullptr;
  float* partials_ = nullptr;
  std::vector<float*> no_grads_;

  // of the current edge
  std::vector<LayerWeights> weights_;
  std::vector<NormBackward> inner_norms_;  // by slot of the first layer

  std::vector<NormConstants> constants_;          // by edge
  std::vector<std::vector<NormBackward>> norms_;  // by edge, then by term
};

}  // namespace amended_darts::mixed::fused

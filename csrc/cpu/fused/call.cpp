#include "call.h"

#include <algorithm>
#include <cmath>

#include "../isa.h"

namespace amended_darts::mixed::fused {
namespace {

const Kernels& current_kernels() {
#if defined(__x86_64__)
  switch (current_isa()) {
    case Isa::avx2: return avx2::kKernels;
    case Isa::avx512: return avx512::kKernels;
    case Isa::baseline: break;
  }
#endif
  return baseline::kKernels;
}

}  // namespace

Call::Call(const Edges<float>& edges_)
    : edges(edges_),
      kernels(current_kernels()),
      plan(make_plan(edges_)),
      geometry(edges_.shape, plan, kernels.width),
      zeros(static_cast<size_t>(geometry.channels.out_lanes()), 0.0f),
      norms_(edges_.num_norms()),
      num_params_(edges_.num_params()) {}

double Call::rstd(const float* var, int64_t edge, int64_t norm, int64_t c) const {
  return 1.0 / std::sqrt(static_cast<double>(var[norm_row(edge, norm) + c]) + edges.eps);
}

NormConstants Call::norm_constants(int64_t edge, const float* mean, const float* var) const {
  const size_t size = static_cast<size_t>(norms_ * geometry.channels.out_lanes());
  NormConstants constants{std::vector<float>(size), std::vector<float>(size), std::vector<float>(size)};
  for (int64_t b = 0; b < norms_; ++b) {
    for (int64_t c = 0; c < geometry.channels.out; ++c) {
      const size_t i = static_cast<size_t>(b * geometry.channels.out_lanes() + c);
      constants.center[i] = mean[norm_row(edge, b) + c];
      constants.scale[i] = static_cast<float>(static_cast<double>(gamma(edge, b, c)) * rstd(var, edge, b, c));
      constants.bias[i] = beta(edge, b, c);
    }
  }
  return constants;
}

std::vector<LayerWeights> Call::pack_edge(int64_t edge, bool backward) const {
  std::vector<LayerWeights> weights;
  for (const Branch& branch : plan.branches) {
    for (const Layer& layer : branch.layers) {
      weights.push_back(pack_weights(layer, edge_params(edge), geometry.channels, backward));
    }
  }
  return weights;
}

void Call::load_x(int64_t n, Planes x_planes, Planes relu) const {
  const Geometry& g = geometry;
  pack_in(x(n), x_planes);
  if (relu.data == nullptr) return;
  for (int64_t b = 0; b < g.in_blocks; ++b) kernels.relu(x_planes.at(b), g.in_pixels(), relu.at(b));
}

void Call::second_input(const Branch& branch, const NormConstants& constants, ConstPlanes first, Planes out) const {
  const int norm = branch.layers[0].norm;
  for (int64_t b = 0; b < geometry.out_blocks; ++b) {
    kernels.normalize_relu(first.at(b), at(constants.center, norm, b), at(constants.scale, norm, b),
                           at(constants.bias, norm, b), geometry.out_pixels(), out.at(b));
  }
}

void clear_halo(Planes planes, int64_t blocks, int64_t halo_floats) {
  for (int64_t b = 0; b < blocks; ++b) {
    float* start = planes.at(b) - halo_floats;
    std::fill(start, start + halo_floats, 0.0f);
    std::fill(start + planes.block - halo_floats, start + planes.block, 0.0f);
  }
}

}  // namespace amended_darts::mixed::fused

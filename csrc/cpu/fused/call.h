// One call's plan, sizes and constants, shared by the forward and the backward pass.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "../../common/parallel.h"
#include "../workspace.h"
#include "image.h"
#include "kernels.h"
#include "layers.h"

namespace amended_darts::mixed::fused {

// One edge's BatchNorms as (z - center) * scale + bias, [norms][lanes] each; lanes beyond the channels are zero.
struct NormConstants {
  std::vector<float> center, scale, bias;
};

struct Call {
  const Edges<float>& edges;
  const Kernels& kernels;
  Plan plan;
  Geometry geometry;
  std::vector<float> zeros;  // [lanes]

  explicit Call(const Edges<float>& edges);

  int64_t norms() const { return norms_; }
  // [norms][C'] of an edge
  int64_t norm_row(int64_t edge, int64_t norm) const { return (edge * norms_ + norm) * geometry.channels.out; }
  float gamma(int64_t edge, int64_t norm, int64_t c) const {
    return edges.bn_weight != nullptr ? edges.bn_weight[norm_row(edge, norm) + c] : 1.0f;
  }
  float beta(int64_t edge, int64_t norm, int64_t c) const {
    return edges.bn_bias != nullptr ? edges.bn_bias[norm_row(edge, norm) + c] : 0.0f;
  }
  double rstd(const float* var, int64_t edge, int64_t norm, int64_t c) const;
  NormConstants norm_constants(int64_t edge, const float* mean, const float* var) const;
  const float* at(const std::vector<float>& constants, int norm, int64_t block) const {
    return constants.data() + norm * geometry.channels.out_lanes() + block * geometry.width;
  }
  const float* const* edge_params(int64_t edge) const {
    return edges.params.data() + edge * static_cast<int64_t>(num_params_);
  }
  // layers in slot order
  std::vector<LayerWeights> pack_edge(int64_t edge, bool backward) const;

  const float* x(int64_t n) const { return edges.x + n * geometry.channels.in * geometry.in_pixels(); }
  Pool pool(float* scratch) const {
    const Geometry& g = geometry;
    return {g.h, g.w, g.stride, g.out_h, g.out_w, scratch};
  }
  // x as blocks, and its ReLU with a halo
  void load_x(int64_t n, Planes x_planes, Planes relu) const;
  // The input of a branch's second layer: the first one's output through BatchNorm and ReLU.
  void second_input(const Branch& branch, const NormConstants& constants, ConstPlanes first, Planes out) const;
  // Between images in the tensors' memory format and blocks.
  void pack_in(const float* from, Planes to) const { pack(from, geometry.channels.in, geometry.in_pixels(), to); }
  void pack_out(const float* from, Planes to) const { pack(from, geometry.channels.out, geometry.out_pixels(), to); }
  void unpack_in(ConstPlanes from, float* to) const { unpack(from, geometry.channels.in, geometry.in_pixels(), to); }
  void unpack_out(ConstPlanes from, float* to) const { unpack(from, geometry.channels.out, geometry.out_pixels(), to); }

 private:
  void pack(const float* from, int64_t channels, int64_t pixels, Planes to) const {
    (edges.channels_last ? kernels.pack_last : kernels.pack)(from, channels, pixels, to.data, to.block);
  }
  void unpack(ConstPlanes from, int64_t channels, int64_t pixels, float* to) const {
    (edges.channels_last ? kernels.unpack_last : kernels.unpack)(from.data, from.block, channels, pixels, to);
  }

  int64_t norms_, num_params_;
};

// Rows of zeros around planes with a halo, whose memory held something else before.
void clear_halo(Planes planes, int64_t blocks, int64_t halo_floats);

}  // namespace amended_darts::mixed::fused

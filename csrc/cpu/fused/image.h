// What happens to one image: layers forward and backward, on blocks of channels.
#pragma once

#include <cstdint>

#include "kernels.h"
#include "layers.h"
#include "weights.h"

namespace amended_darts::mixed::fused {

// The channels of one image in blocks; `block` floats from one block to the next.
struct Planes {
  float* data = nullptr;  // block 0, pixel (0, 0)
  int64_t block = 0;

  float* at(int64_t b) const { return data + b * block; }
};

struct ConstPlanes {
  const float* data = nullptr;
  int64_t block = 0;

  ConstPlanes() = default;
  ConstPlanes(const float* data_, int64_t block_) : data(data_), block(block_) {}
  ConstPlanes(const Planes& planes) : data(planes.data), block(planes.block) {}
  const float* at(int64_t b) const { return data + b * block; }
};

// Sizes shared by everything in a call.
struct Geometry {
  Channels channels;
  int64_t width, in_blocks, out_blocks;
  int64_t h, w, out_h, out_w, stride, halo;

  Geometry(const Shape& shape, const Plan& plan, int width);
  int64_t in_pixels() const { return h * w; }
  int64_t out_pixels() const { return out_h * out_w; }
  int64_t in_image() const { return channels.in_lanes() * in_pixels(); }
  int64_t out_image() const { return channels.out_lanes() * out_pixels(); }
  // rows of zeros included
  int64_t in_halo_block() const { return (h + 2 * halo) * w * width; }
  int64_t out_halo_block() const { return (out_h + 2 * halo) * out_w * width; }
};

// Hands out pieces of memory; without any it measures how much is needed.
class Carver {
 public:
  explicit Carver(float* memory = nullptr) : memory_(memory) {}
  // A piece of `floats` floats, from `skip` floats after its start.
  float* take(int64_t floats, int64_t skip = 0) {
    const int64_t start = size_;
    size_ += (floats + 15) / 16 * 16;
    return memory_ != nullptr ? memory_ + start + skip : nullptr;
  }
  double* take_doubles(int64_t doubles) { return reinterpret_cast<double*>(take(2 * doubles)); }
  int64_t size() const { return size_; }

 private:
  float* memory_;
  int64_t size_ = 0;
};

Planes take_in(Carver& carver, const Geometry& geometry);
Planes take_out(Carver& carver, const Geometry& geometry);
// the input's channels at the output's size
Planes take_gathered(Carver& carver, const Geometry& geometry);
// with rows of zeros above and below
Planes take_in_halo(Carver& carver, const Geometry& geometry);
Planes take_gathered_halo(Carver& carver, const Geometry& geometry);

// z = convolution(in); `in` has a halo, `gathered` is scratch.
void layer_forward(const Kernels& kernels, const Geometry& geometry, const Layer& layer, const LayerWeights& weights,
                   ConstPlanes in, Planes gathered, Planes z);

struct LayerGrad {
  float* params = nullptr;  // += the parameters' gradients, laid out as grad_size says; null: not asked for
  Planes in;                // += (or =) the input's gradient; null: not asked for
  bool accumulate = true;
};

// grad_z: the gradient of z. `gathered` and `spread` (with a halo) are scratch: the input's channels at the output's
// size.
void layer_backward(const Kernels& kernels, const Geometry& geometry, const Layer& layer, const LayerWeights& weights,
                    ConstPlanes in, ConstPlanes grad_z, Planes gathered, Planes spread, const LayerGrad& grad);

}  // namespace amended_darts::mixed::fused

// An edge's convolution weights in the order in which the kernels read them, and the way back for their gradients.
#pragma once

#include <cstdint>
#include <vector>

#include "layers.h"

namespace amended_darts::mixed::fused {

struct TapWeights {
  std::vector<float> matrix;               // [C][out_lanes]: row k holds the outputs of input channel k
  std::vector<float> transposed;           // [C'][in_lanes]: row m holds the weights of output channel m
  std::vector<float> kernel;               // [blocks][k][k][width]; ones where the tap only picks pixels
  std::vector<std::vector<float>> phases;  // of the input gradient, each [blocks][rows][cols][width]
};

struct LayerWeights {
  std::vector<TapWeights> taps;
};

// params: those of one edge. The input gradient's part is packed only where asked for.
LayerWeights pack_weights(const Layer& layer, const float* const* params, const Channels& channels, bool backward);

// Where a layer's parameter gradients are summed: the depthwise kernel, then the matrix of each tap.
int64_t grad_size(const Layer& layer, const Channels& channels);
int64_t matrix_grad_offset(const Layer& layer, int tap, const Channels& channels);

// Adds up `count` partial sums, `stride` floats apart, into the parameters' gradients (null: not asked for).
void unpack_grads(const Layer& layer, const float* partials, int64_t count, int64_t stride, const Channels& channels,
                  float* const* grads);

}  // namespace amended_darts::mixed::fused

// What a call consists of: every candidate taken apart into layers (ReLU, convolution, BatchNorm) and terms of the sum.
#pragma once

#include <cstdint>
#include <vector>

#include "../../common/mixed_edges.h"

namespace amended_darts::mixed::fused {

// Of x and of y. Inside, channels come in blocks of `width` lanes, the last of which may be filled up.
struct Channels {
  int64_t in, out, width;

  int64_t in_blocks() const { return (in + width - 1) / width; }
  int64_t out_blocks() const { return (out + width - 1) / width; }
  int64_t in_lanes() const { return in_blocks() * width; }
  int64_t out_lanes() const { return out_blocks() * width; }
};

// A part of the input gradient's correlation: the pixels (row + i * stride, col + j * stride) of the input.
struct Phase {
  int64_t row, col, top, left;
  int dilation;
  std::vector<int> tap_rows, tap_cols;  // of the forward kernel, in the order in which the phase applies them
};

// One spatial correlation followed by one matrix between channels.
//
// A depthwise layer has a single tap, its kernel. A dense k x k layer has k * k taps that each pick one shifted (and
// strided) copy of the input, FactorizedReduce two, each with its own output channels.
struct Tap {
  int kernel, dilation;
  int64_t top, left;  // input position of the kernel's first element for output (0, 0)
  int64_t out_begin, out_end;
  int param;  // the matrix
  int64_t param_offset,
      param_stride;           // its element [m - out_begin][k] is at offset + ((m - out_begin) * C + k) * stride
  std::vector<Phase> phases;  // of the input gradient
};

struct Layer {
  bool depthwise;
  int64_t stride, in_h, in_w, out_h, out_w;
  int param;  // the depthwise kernel
  int norm;
  std::vector<Tap> taps;

  int64_t out_pixels() const { return out_h * out_w; }
  bool is_copy(const Tap& tap) const { return !depthwise && stride == 1 && tap.top == 0 && tap.left == 0; }
};

enum class Source { x, max_pool, avg_pool, branch, none };

// A term of the sum: weights[candidate] * (a branch's output), BatchNorm included unless norm is -1.
struct SumTerm {
  Source source;
  int candidate;
  int norm;
  int branch;  // index into Plan::branches
};

struct Branch {
  std::vector<Layer> layers;  // one or two
  int slot;                   // of the first layer's output among all layers' outputs
};

struct Plan {
  std::vector<Branch> branches;
  std::vector<SumTerm> terms;
  int slots = 0;     // layers
  int64_t halo = 0;  // rows of zeros above and below an image
  bool has_max = false, has_avg = false, has_second_layer = false;
  bool has_single_layer = false;  // a branch of one layer
  bool has_shared = false;        // x or pools among the terms

  bool has_pool() const { return has_max || has_avg; }
};

Plan make_plan(const Edges<float>& edges);

}  // namespace amended_darts::mixed::fused

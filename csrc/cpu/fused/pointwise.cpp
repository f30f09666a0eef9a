// 1x1 convolutions: matrix products between the channels of an image, and the gradient of their weights.
#include "kernels_isa.h"

namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA {
namespace {

// kBlocks blocks of outputs at kPixels pixels, in registers.
template <int kBlocks, int kPixels>
AD_INLINE void tile(const Pointwise& c, const float* weight, const float* in, float* out) {
  Vec sum[kBlocks][kPixels];
  AD_UNROLL for (int m = 0; m < kBlocks; ++m) {
    AD_UNROLL for (int p = 0; p < kPixels; ++p) {
      sum[m][p] = c.accumulate ? load(out + m * c.out_block + p * kWidth) : zero();
    }
  }
  const float* w = weight + c.k_begin * c.weight_row;
  for (int64_t k = c.k_begin; k < c.k_end;) {
    const int64_t lane = k % kWidth;
    const int64_t lanes = kWidth - lane < c.k_end - k ? kWidth - lane : c.k_end - k;
    const float* x = in + k / kWidth * c.in_block + lane;
    const auto step = [&](int64_t j) {
      Vec a[kBlocks];
      AD_UNROLL for (int m = 0; m < kBlocks; ++m) a[m] = load(w + m * kWidth);
      AD_UNROLL for (int p = 0; p < kPixels; ++p) {
        const Vec b = broadcast(x[p * kWidth + j]);
        AD_UNROLL for (int m = 0; m < kBlocks; ++m) sum[m][p] = fma(a[m], b, sum[m][p]);
      }
      w += c.weight_row;
    };
    if (lanes == kWidth) {
      AD_UNROLL for (int j = 0; j < kWidth; ++j) step(j);
    } else {
      for (int64_t j = 0; j < lanes; ++j) step(j);
    }
    k += lanes;
  }
  AD_UNROLL for (int m = 0; m < kBlocks; ++m) {
    AD_UNROLL for (int p = 0; p < kPixels; ++p) {
      float* at = out + m * c.out_block + p * kWidth;
      if (c.keep_lanes > 0) sum[m][p] = select(lanes() < c.keep_lanes, load(at), sum[m][p]);
      store(at, sum[m][p]);
    }
  }
}

// The last pixels, fewer than a whole tile's kPixels.
template <int kBlocks, int kPixels>
AD_INLINE void last_tile(const Pointwise& c, const float* weight, const float* in, float* out, int64_t pixels) {
  if constexpr (kPixels > 1) {
    if (pixels == kPixels - 1) {
      tile<kBlocks, kPixels - 1>(c, weight, in, out);
    } else {
      last_tile<kBlocks, kPixels - 1>(c, weight, in, out, pixels);
    }
  }
}

template <int kBlocks, int kPixels>
__attribute__((noinline)) void blocks(const Pointwise& c, int64_t block) {
  const float* weight = c.weight + block * kWidth;
  float* out = c.out + block * c.out_block;
  int64_t p = 0;
  for (; p + kPixels <= c.pixels; p += kPixels) {
    tile<kBlocks, kPixels>(c, weight, c.in + p * kWidth, out + p * kWidth);
  }
  last_tile<kBlocks, kPixels>(c, weight, c.in + p * kWidth, out + p * kWidth, c.pixels - p);
}

// Products of kBlocks blocks of grad_out and kInputs channels of the input, summed over the pixels.
template <int kBlocks, int kInputs>
AD_INLINE void grad_tile(const float* grad_out, ptrdiff_t grad_out_block, const float* const* in, int64_t pixels,
                         float* grad_weight, ptrdiff_t weight_row) {
  Vec sum[kBlocks][kInputs] = {};
  const float* x[kInputs];
  AD_UNROLL for (int k = 0; k < kInputs; ++k) x[k] = in[k];
  for (int64_t p = 0; p < pixels; ++p) {
    Vec g[kBlocks];
    AD_UNROLL for (int m = 0; m < kBlocks; ++m) g[m] = load(grad_out + m * grad_out_block + p * kWidth);
    AD_UNROLL for (int k = 0; k < kInputs; ++k) {
      const Vec b = broadcast(x[k][p * kWidth]);
      AD_UNROLL for (int m = 0; m < kBlocks; ++m) sum[m][k] = fma(g[m], b, sum[m][k]);
    }
  }
  AD_UNROLL for (int k = 0; k < kInputs; ++k) {
    AD_UNROLL for (int m = 0; m < kBlocks; ++m) {
      float* out = grad_weight + k * weight_row + m * kWidth;
      store(out, load(out) + sum[m][k]);
    }
  }
}

template <int kBlocks, int kInputs>
AD_INLINE void last_grad_tile(const float* grad_out, ptrdiff_t grad_out_block, const float* const* in, int64_t pixels,
                              float* grad_weight, ptrdiff_t weight_row, int64_t inputs) {
  if constexpr (kInputs > 1) {
    if (inputs == kInputs - 1) {
      grad_tile<kBlocks, kInputs - 1>(grad_out, grad_out_block, in, pixels, grad_weight, weight_row);
    } else {
      last_grad_tile<kBlocks, kInputs - 1>(grad_out, grad_out_block, in, pixels, grad_weight, weight_row, inputs);
    }
  }
}

template <int kBlocks, int kInputs>
__attribute__((noinline)) void grad_blocks(const PointwiseGrad& c, int64_t block, int64_t first, int64_t pixels) {
  const float* grad_out = c.grad_out + block * c.grad_out_block + first * kWidth;
  for (int64_t k = 0; k < c.channels; k += kInputs) {
    const int64_t inputs = c.channels - k < kInputs ? c.channels - k : kInputs;
    const float* in[kInputs];
    for (int64_t j = 0; j < inputs; ++j) {
      in[j] = c.in + (k + j) / kWidth * c.in_block + first * kWidth + (k + j) % kWidth;
    }
    float* grad_weight = c.grad_weight + k * c.weight_row + block * kWidth;
    if (inputs == kInputs) {
      grad_tile<kBlocks, kInputs>(grad_out, c.grad_out_block, in, pixels, grad_weight, c.weight_row);
    } else {
      last_grad_tile<kBlocks, kInputs>(grad_out, c.grad_out_block, in, pixels, grad_weight, c.weight_row, inputs);
    }
  }
}

// Blocks are taken two at a time, three where that leaves no single one: 12 sums, 2 or 3 weights and an input fit the
// 16 registers of AVX2.
AD_INLINE int64_t next_blocks(int64_t left) { return left == 3 ? 3 : left >= 2 ? 2 : 1; }

}  // namespace

void pointwise(const Pointwise& c) {
  for (int64_t block = 0; block < c.out_blocks;) {
    const int64_t count = next_blocks(c.out_blocks - block);
    if (count == 3) {
      blocks<3, 4>(c, block);
    } else if (count == 2) {
      blocks<2, 6>(c, block);
    } else {
      blocks<1, 8>(c, block);
    }
    block += count;
  }
}

void pointwise_grad(const PointwiseGrad& c) {
  constexpr int64_t kPixels = 256;  // short sums stay exact, and what they read stays in the cache
  for (int64_t first = 0; first < c.pixels; first += kPixels) {
    const int64_t pixels = c.pixels - first < kPixels ? c.pixels - first : kPixels;
    for (int64_t block = 0; block < c.grad_out_blocks;) {
      const int64_t count = next_blocks(c.grad_out_blocks - block);
      if (count == 3) {
        grad_blocks<3, 4>(c, block, first, pixels);
      } else if (count == 2) {
        grad_blocks<2, 6>(c, block, first, pixels);
      } else {
        grad_blocks<1, 8>(c, block, first, pixels);
      }
      block += count;
    }
  }
}

}  // namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA

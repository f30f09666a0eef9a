// The kernels that exist once per instruction set, as a table of functions that the passes call.
//
// Layout inside the fused path: the channels of one image are cut into blocks of `width` (the vector's lanes), and a
// block is [rows][columns][width]. A pixel of a block is one vector, so every size, stride and dilation runs at the
// same speed and no load crosses a border. Lanes beyond the last channel hold zeros or values nobody reads.
#pragma once

#include <cstdint>

namespace amended_darts::mixed::fused {

// out[h][w] (+)= sum over taps (a, b) of weight[a][b] * in[h * stride + a * dilation + top][w * stride + b * dilation +
// left] for one block of channels. Columns outside the image are skipped; rows outside must hold zeros as far as taps
// reach.
struct Correlation {
  int tap_rows, tap_cols, dilation, stride;
  int64_t top, left;                       // position of tap (0, 0) for output (0, 0)
  const float* in;                         // pixel (0, 0)
  int64_t in_row, in_w;                    // floats from row to row; columns
  const float* weight;                     // [tap_rows][tap_cols][width]
  float* out;                              // pixel (0, 0)
  int64_t out_row, out_col, out_h, out_w;  // floats from row to row and from column to column; size
  bool accumulate;
};

// grad_weight[a][b] += sum over pixels of grad_out[h][w] * in[...as above]
struct CorrelationGrad {
  int tap_rows, tap_cols, dilation, stride;
  int64_t top, left;
  const float* in;
  int64_t in_row, in_w;
  const float* grad_out;  // [out_h][out_w][width], contiguous
  int64_t out_h, out_w;
  float* grad_weight;  // [tap_rows][tap_cols][width]
};

// A matrix between channels, applied to every pixel: out[m][p] (+)= sum of weight[k][m] * in[k][p], k in [k_begin,
// k_end)
struct Pointwise {
  const float* weight;  // [channels][weight_row]: row k holds the outputs of input channel k
  int64_t weight_row;
  int64_t k_begin, k_end;
  const float* in;  // block of channels 0, pixel 0
  int64_t in_block;
  float* out;
  int64_t out_block, out_blocks;
  int64_t pixels;
  bool accumulate;
  int keep_lanes;  // of every block of outputs, left as they are
};

// grad_weight[k][m] += sum over pixels of grad_out[m][p] * in[k][p]
struct PointwiseGrad {
  const float* grad_out;
  int64_t grad_out_block, grad_out_blocks;
  const float* in;
  int64_t in_block;
  int64_t channels;  // k
  int64_t pixels;
  float* grad_weight;  // [channels][weight_row]
  int64_t weight_row;
};

// One block of channels going through a 3x3 pool with padding 1.
struct Pool {
  int64_t h, w, stride, out_h, out_w;
  float* scratch;  // pool_scratch_size floats
};

// out = sum over terms of scale * (value - center) + bias; the constants are one vector per term
struct Term {
  const float* value;   // [pixels][width]
  const float* center;  // [width]
  const float* scale;   // [width]
};

// What BatchNorm's backward makes of the gradient: factor * a * g + b * (z - center) + k (b, k null: constants)
struct NormGrad {
  float factor;
  const float *a, *b, *k, *center;  // [width]
};

struct Kernels {
  const char* name;
  int width;

  // [channels][pixels] -> blocks, lanes beyond the channels zero; and back
  void (*pack)(const float* in, int64_t channels, int64_t pixels, float* out, int64_t out_block);
  void (*unpack)(const float* in, int64_t in_block, int64_t channels, int64_t pixels, float* out);
  // the same from and to [pixels][channels]
  void (*pack_last)(const float* in, int64_t channels, int64_t pixels, float* out, int64_t out_block);
  void (*unpack_last)(const float* in, int64_t in_block, int64_t channels, int64_t pixels, float* out);

  // elementwise over `count` vectors of one block
  void (*relu)(const float* in, int64_t count, float* out);
  // out = in + relu'(x) * grad
  void (*mask_add)(const float* x, const float* grad, const float* in, int64_t count, float* out);
  void (*add_scaled)(const float* in, float scale, int64_t count, float* out);  // out += scale * in
  void (*normalize_relu)(const float* z, const float* center, const float* scale, const float* bias, int64_t count,
                         float* out);
  void (*combine)(const Term* terms, int64_t num_terms, const float* bias, int64_t count, float* out);
  void (*norm_grad)(const NormGrad& norm, const float* grad, const float* z, int64_t count, bool accumulate,
                    float* out);

  // sums over `count` vectors of one block, per lane: floats over short runs, doubles across them
  void (*moments)(const float* z, int64_t count, double* mean, double* m2);  // m2: sum of (z - mean)^2
  // added to what is there
  void (*sum)(const float* g, int64_t count, double* out);
  void (*dot)(const float* g, const float* z, const float* center, int64_t count, double* out);  // g * (z - center)
  // g = relu'(scale * (z - center) + bias) * g in place, with the sums of g and g * (z - center)
  void (*masked_sums)(const float* z, const float* center, const float* scale, const float* bias, int64_t count,
                      float* g, double* sum, double* dot);

  void (*correlate)(const Correlation& correlation);
  void (*correlate_grad)(const CorrelationGrad& correlation);
  void (*pointwise)(const Pointwise& pointwise);
  void (*pointwise_grad)(const PointwiseGrad& pointwise);

  void (*max_pool)(const Pool& pool, const float* in, float* out);
  void (*avg_pool)(const Pool& pool, const float* in, float* out);
  // grad_in += the gradient of the pool, grad_out [out_h][out_w][width]
  void (*max_pool_index)(const Pool& pool, const float* in, float* out, float* index);
  void (*max_pool_grad)(const Pool& pool, const float* index, const float* grad_out, float* grad_in);
  void (*avg_pool_grad)(const Pool& pool, const float* grad_out, float* grad_in);
};

inline int64_t pool_scratch_size(int64_t w, int width) { return 6 * w * width; }  // a few rows

namespace baseline {
extern const Kernels kKernels;
}
namespace avx2 {
extern const Kernels kKernels;
}
namespace avx512 {
extern const Kernels kKernels;
}

}  // namespace amended_darts::mixed::fused

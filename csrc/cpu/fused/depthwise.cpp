// Depthwise convolution of one block of channels: forward, input gradient (the same with other taps) and weight
// gradient.
#include "kernels_isa.h"

namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA {
namespace {

// One output column, kRows rows of it in registers. `in` points at the column of the first tap that lies in the image.
template <int kTaps, int kDilation, int kStride, int kRows>
AD_INLINE void correlate_column(const float* in, ptrdiff_t in_row, ptrdiff_t tap_step, const float* weight,
                                ptrdiff_t weight_row, int64_t tap_cols, float* out, ptrdiff_t out_row,
                                bool accumulate) {
  Vec sum[kRows];
  if (accumulate) {
    AD_UNROLL for (int i = 0; i < kRows; ++i) sum[i] = load(out + i * out_row);
  } else {
    AD_UNROLL for (int i = 0; i < kRows; ++i) sum[i] = zero();
  }
  for (int64_t b = 0; b < tap_cols; ++b, in += tap_step, weight += kWidth) {
    Vec w[kTaps];
    AD_UNROLL for (int a = 0; a < kTaps; ++a) w[a] = load(weight + a * weight_row);
    const float* p = in;
    AD_UNROLL for (int r = 0; r <= (kRows - 1) * kStride + (kTaps - 1) * kDilation; ++r, p += in_row) {
      const Vec v = load(p);
      AD_UNROLL for (int a = 0; a < kTaps; ++a) {
        const int i = r - a * kDilation;
        if (i >= 0 && i % kStride == 0 && i / kStride < kRows) sum[i / kStride] = fma(v, w[a], sum[i / kStride]);
      }
    }
  }
  AD_UNROLL for (int i = 0; i < kRows; ++i) store(out + i * out_row, sum[i]);
}

// Taps b with 0 <= position + b * dilation < width, for one output column.
struct TapRange {
  int64_t begin, end;
};
AD_INLINE TapRange taps_inside(int64_t position, int64_t dilation, int64_t taps, int64_t width) {
  int64_t begin = 0, end = taps;
  while (begin < end && position + begin * dilation < 0) ++begin;
  while (end > begin && position + (end - 1) * dilation >= width) --end;
  return {begin, end};
}

template <int kTaps, int kDilation, int kStride, int kRows>
__attribute__((noinline)) void correlate_rows(const Correlation& c, int64_t h, int64_t row, int64_t col_stride,
                                              int64_t tap_dilation) {
  const float* in = c.in + (h * kStride * row + c.top * c.in_row);
  for (int64_t w = 0; w < c.out_w; ++w) {
    const int64_t position = w * col_stride + c.left;
    const TapRange taps = taps_inside(position, tap_dilation, c.tap_cols, c.in_w);
    correlate_column<kTaps, kDilation, kStride, kRows>(in + (position + taps.begin * tap_dilation) * kWidth, row,
                                                       tap_dilation * kWidth, c.weight + taps.begin * kWidth,
                                                       c.tap_cols * kWidth, taps.end - taps.begin,
                                                       c.out + h * c.out_row + w * c.out_col, c.out_row, c.accumulate);
  }
}

template <int kTaps, int kDilation, int kStride>
void correlate_all(const Correlation& c, int64_t row, int64_t col_stride, int64_t tap_dilation) {
  const bool by_seven = c.out_h % 8 != 0 && c.out_h % 7 == 0;
  for (int64_t h = 0; h < c.out_h;) {
    const int64_t left = c.out_h - h;
    if (left >= 8 && !by_seven) {
      correlate_rows<kTaps, kDilation, kStride, 8>(c, h, row, col_stride, tap_dilation);
      h += 8;
    } else if (left >= 7) {
      correlate_rows<kTaps, kDilation, kStride, 7>(c, h, row, col_stride, tap_dilation);
      h += 7;
    } else if (left >= 4) {
      correlate_rows<kTaps, kDilation, kStride, 4>(c, h, row, col_stride, tap_dilation);
      h += 4;
    } else if (left >= 2) {
      correlate_rows<kTaps, kDilation, kStride, 2>(c, h, row, col_stride, tap_dilation);
      h += 2;
    } else {
      correlate_rows<kTaps, kDilation, kStride, 1>(c, h, row, col_stride, tap_dilation);
      h += 1;
    }
  }
}

constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

// One tap column of the weight gradient, over the rows [h, h + kRows) of grad_out. Each tap has kSets sums, so that
// enough of them are independent.
template <int kTaps, int kDilation, int kStride, int kRows, int kSets>
AD_INLINE void grad_strip(const float* in, ptrdiff_t in_row, ptrdiff_t in_step, const float* grad, ptrdiff_t grad_row,
                          int64_t columns, Vec (&sum)[kTaps][kSets]) {
  for (int64_t w = 0; w < columns; ++w, in += in_step, grad += kWidth) {
    Vec g[kRows];
    AD_UNROLL for (int i = 0; i < kRows; ++i) g[i] = load(grad + i * grad_row);
    const float* p = in;
    AD_UNROLL for (int r = 0; r <= (kRows - 1) * kStride + (kTaps - 1) * kDilation; ++r, p += in_row) {
      const Vec v = load(p);
      AD_UNROLL for (int a = 0; a < kTaps; ++a) {
        const int i = r - a * kDilation;
        if (i >= 0 && i % kStride == 0 && i / kStride < kRows) {
          sum[a][i / kStride % kSets] = fma(v, g[i / kStride], sum[a][i / kStride % kSets]);
        }
      }
    }
  }
}

template <int kTaps, int kDilation, int kStride>
__attribute__((noinline)) void correlate_grad_all(const CorrelationGrad& c, int64_t row, int64_t col_stride,
                                                  int64_t tap_dilation) {
  constexpr int kSets = ceil_div(8, kTaps) > 4 ? 4 : ceil_div(8, kTaps);
  constexpr int64_t kCacheFloats = 4096;  // of grad_out, reread for each tap column
  const int64_t grad_row = c.out_w * kWidth;
  const int64_t strip = kCacheFloats / grad_row < 4 ? 4 : kCacheFloats / grad_row / 4 * 4;
  for (int64_t first = 0; first < c.out_h; first += strip) {
    const int64_t last = first + strip < c.out_h ? first + strip : c.out_h;
    for (int64_t b = 0; b < c.tap_cols; ++b) {
      // columns [begin, end) of grad_out whose tap b lies in the image
      int64_t begin = 0, end = c.out_w;
      while (begin < end && begin * col_stride + c.left + b * tap_dilation < 0) ++begin;
      while (end > begin && (end - 1) * col_stride + c.left + b * tap_dilation >= c.in_w) --end;
      const float* in = c.in + c.top * c.in_row + (begin * col_stride + c.left + b * tap_dilation) * kWidth;
      const float* grad = c.grad_out + begin * kWidth;
      Vec sum[kTaps][kSets] = {};
      int64_t h = first;
      for (; h + 4 <= last; h += 4) {
        grad_strip<kTaps, kDilation, kStride, 4, kSets>(in + h * kStride * row, row, col_stride * kWidth,
                                                        grad + h * grad_row, grad_row, end - begin, sum);
      }
      for (; h < last; ++h) {
        grad_strip<kTaps, kDilation, kStride, 1, kSets>(in + h * kStride * row, row, col_stride * kWidth,
                                                        grad + h * grad_row, grad_row, end - begin, sum);
      }
      AD_UNROLL for (int a = 0; a < kTaps; ++a) {
        Vec total = sum[a][0];
        AD_UNROLL for (int s = 1; s < kSets; ++s) total += sum[a][s];
        float* out = c.grad_weight + (a * c.tap_cols + b) * kWidth;
        store(out, load(out) + total);
      }
    }
  }
}

// Calls body<taps, dilation, stride>(c, row step, column stride, column dilation). Stride 2 with dilation 2 is stride 1
// with dilation 1 on every other row and column.
#define AD_CASE(taps, dilation, stride) \
  if (c.tap_rows == taps && d == dilation && s == stride) return body.template operator()<taps, dilation, stride>(row)
template <typename Args, typename Body>
AD_INLINE void dispatch(const Args& c, const Body& body) {
  const bool both = c.stride == 2 && c.dilation == 2;
  const int d = both ? 1 : c.dilation, s = both ? 1 : c.stride;
  const int64_t row = both ? 2 * c.in_row : c.in_row;
  AD_CASE(1, 1, 1);
  AD_CASE(1, 1, 2);
  AD_CASE(2, 1, 1);
  AD_CASE(3, 1, 1);
  AD_CASE(4, 1, 1);
  AD_CASE(5, 1, 1);
  AD_CASE(7, 1, 1);
  AD_CASE(3, 2, 1);
  AD_CASE(5, 2, 1);
  AD_CASE(3, 1, 2);
  AD_CASE(5, 1, 2);
  AD_CASE(7, 1, 2);
}
#undef AD_CASE

}  // namespace

void correlate(const Correlation& c) {
  dispatch(c, [&]<int kTaps, int kDilation, int kStride>(int64_t row) {
    correlate_all<kTaps, kDilation, kStride>(c, row, c.stride, c.dilation);
  });
}

void correlate_grad(const CorrelationGrad& c) {
  dispatch(c, [&]<int kTaps, int kDilation, int kStride>(int64_t row) {
    correlate_grad_all<kTaps, kDilation, kStride>(c, row, c.stride, c.dilation);
  });
}

}  // namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA

// 3x3 pooling with padding 1 over one block of channels. Each pool is taken along the rows first, then across them.
//
// NaN wins a maximum, the last NaN in row-major order its gradient; otherwise the first of equal values: as PyTorch.
#include "kernels_isa.h"

namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA {
namespace {

// Window positions 0..2 around stride * i - 1 that lie in [0, size).
struct Window {
  int64_t begin, end;  // as input coordinates
};
AD_INLINE Window window(int64_t i, int64_t stride, int64_t size) {
  const int64_t center = i * stride;
  return {center > 0 ? center - 1 : 0, center + 2 < size ? center + 2 : size};
}

// Outputs whose window holds input i.
AD_INLINE Window outputs_of(int64_t i, int64_t stride, int64_t outputs) {
  const int64_t first = stride == 1 ? i - 1 : i / 2;
  const int64_t last = stride == 1 ? i + 1 : (i + 1) / 2;
  return {first > 0 ? first : 0, last < outputs ? last + 1 : outputs};
}

AD_INLINE IntVec wins(Vec value, Vec best) { return (value > best) | (value != value); }

// row(i, ptr) for every input row, then column(h, window of rows)
template <typename Start, typename Step>
AD_INLINE void separable(const Pool& c, const float* in, float* out, float* rows, Start start, Step step) {
  const int64_t row_size = c.out_w * kWidth;
  for (int64_t r = 0; r < c.h; ++r) {
    for (int64_t w = 0; w < c.out_w; ++w) {
      const Window cols = window(w, c.stride, c.w);
      const float* p = in + (r * c.w + cols.begin) * kWidth;
      Vec v = start(load(p));
      for (int64_t i = cols.begin + 1; i < cols.end; ++i) v = step(v, load(p += kWidth));
      store(rows + r * row_size + w * kWidth, v);
    }
  }
  for (int64_t h = 0; h < c.out_h; ++h) {
    const Window range = window(h, c.stride, c.h);
    for (int64_t i = 0; i < row_size; i += kWidth) {
      const float* p = rows + range.begin * row_size + i;
      Vec v = load(p);
      for (int64_t r = range.begin + 1; r < range.end; ++r) v = step(v, load(p += row_size));
      store(out + h * row_size + i, v);
    }
  }
}

// Divides by the number of pixels inside the image.
AD_INLINE void divide_by_count(const Pool& c, const float* in, float* out) {
  for (int64_t h = 0; h < c.out_h; ++h) {
    const Window rows = window(h, c.stride, c.h);
    for (int64_t w = 0; w < c.out_w; ++w) {
      const Window cols = window(w, c.stride, c.w);
      const int64_t count = (rows.end - rows.begin) * (cols.end - cols.begin);
      const int64_t at = (h * c.out_w + w) * kWidth;
      store(out + at, load(in + at) / broadcast(static_cast<float>(count)));
    }
  }
}

}  // namespace

void max_pool(const Pool& c, const float* in, float* out) {
  separable(
      c, in, out, c.scratch, [](Vec v) { return v; },
      [](Vec best, Vec value) { return select(wins(value, best), value, best); });
}

void avg_pool(const Pool& c, const float* in, float* out) {
  separable(
      c, in, out, c.scratch, [](Vec v) { return v; }, [](Vec sum, Vec value) { return sum + value; });
  divide_by_count(c, out, out);
}

// index: 3 * row + column of the maximum, counted from the window's first position, whether inside the image or not
void max_pool_index(const Pool& c, const float* in, float* out, float* index) {
  const int64_t row_size = c.out_w * kWidth;
  float* rows = c.scratch;
  float* columns = c.scratch + c.h * row_size;
  for (int64_t r = 0; r < c.h; ++r) {
    for (int64_t w = 0; w < c.out_w; ++w) {
      const Window cols = window(w, c.stride, c.w);
      const float* p = in + (r * c.w + cols.begin) * kWidth;
      float position = static_cast<float>(cols.begin - (w * c.stride - 1));
      Vec best = load(p), at = broadcast(position);
      for (int64_t i = cols.begin + 1; i < cols.end; ++i) {
        const Vec value = load(p += kWidth);
        const IntVec win = wins(value, best);
        best = select(win, value, best);
        at = select(win, broadcast(position += 1.0f), at);
      }
      store(rows + r * row_size + w * kWidth, best);
      store(columns + r * row_size + w * kWidth, at);
    }
  }
  for (int64_t h = 0; h < c.out_h; ++h) {
    const Window range = window(h, c.stride, c.h);
    const float offset = static_cast<float>(3 * (range.begin - (h * c.stride - 1)));
    for (int64_t i = 0; i < row_size; i += kWidth) {
      int64_t from = range.begin * row_size + i;
      Vec best = load(rows + from), at = load(columns + from) + broadcast(offset);
      float row = offset;
      for (int64_t r = range.begin + 1; r < range.end; ++r) {
        from += row_size;
        row += 3.0f;
        const Vec value = load(rows + from);
        const IntVec win = wins(value, best);
        best = select(win, value, best);
        at = select(win, load(columns + from) + broadcast(row), at);
      }
      store(out + h * row_size + i, best);
      store(index + h * row_size + i, at);
    }
  }
}

void max_pool_grad(const Pool& c, const float* index, const float* grad_out, float* grad_in) {
  for (int64_t r = 0; r < c.h; ++r) {
    const Window rows = outputs_of(r, c.stride, c.out_h);
    for (int64_t q = 0; q < c.w; ++q) {
      const Window cols = outputs_of(q, c.stride, c.out_w);
      Vec sum = load(grad_in + (r * c.w + q) * kWidth);
      for (int64_t h = rows.begin; h < rows.end; ++h) {
        for (int64_t w = cols.begin; w < cols.end; ++w) {
          const int64_t position = 3 * (r - h * c.stride + 1) + (q - w * c.stride + 1);
          const int64_t at = (h * c.out_w + w) * kWidth;
          const IntVec here = load(index + at) == broadcast(static_cast<float>(position));
          sum += select(here, load(grad_out + at), zero());
        }
      }
      store(grad_in + (r * c.w + q) * kWidth, sum);
    }
  }
}

void avg_pool_grad(const Pool& c, const float* grad_out, float* grad_in) {
  const int64_t row_size = c.w * kWidth;
  float* scaled = c.scratch;
  float* spread = c.scratch + c.out_h * c.out_w * kWidth;  // [out_h][w]
  divide_by_count(c, grad_out, scaled);
  for (int64_t h = 0; h < c.out_h; ++h) {
    for (int64_t q = 0; q < c.w; ++q) {
      const Window cols = outputs_of(q, c.stride, c.out_w);
      Vec sum = zero();
      for (int64_t w = cols.begin; w < cols.end; ++w) sum += load(scaled + (h * c.out_w + w) * kWidth);
      store(spread + h * row_size + q * kWidth, sum);
    }
  }
  for (int64_t r = 0; r < c.h; ++r) {
    const Window rows = outputs_of(r, c.stride, c.out_h);
    for (int64_t i = 0; i < row_size; i += kWidth) {
      Vec sum = load(grad_in + r * row_size + i);
      for (int64_t h = rows.begin; h < rows.end; ++h) sum += load(spread + h * row_size + i);
      store(grad_in + r * row_size + i, sum);
    }
  }
}

}  // namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA

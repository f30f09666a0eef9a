// 3x3 pooling with padding 1 over one block of channels. Each pool is taken along the rows first, then across the last
// three of them, which stay in the first cache.
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

// border(i) for the outputs along an axis whose window leaves the image, inside(i) for the others.
template <typename Border, typename Inside>
AD_INLINE void along(int64_t outputs, int64_t stride, int64_t size, const Border& border, const Inside& inside) {
  const int64_t end = size > 2 ? (size - 2) / stride + 1 : 1;
  border(0);
  int64_t i = 1;
  for (; i < end; ++i) inside(i);
  for (; i < outputs; ++i) border(i);
}

// The last three rows of something.
struct Ring {
  float* rows;
  int64_t row_size;

  float* at(int64_t row) const { return rows + row % 3 * row_size; }
};

AD_INLINE IntVec wins(Vec value, Vec best) { return (value > best) | (value != value); }

// out = each window's `step` over all its pixels; row_done(h, row of out) follows each row.
template <typename Step, typename RowDone>
AD_INLINE void separable(const Pool& c, const float* in, float* out, const Step& step, const RowDone& row_done) {
  const Ring rows{c.scratch, c.out_w * kWidth};
  const auto start_row = [&](int64_t r) {
    const float* from = in + r * c.w * kWidth;
    float* to = rows.at(r);
    const auto border = [&](int64_t w) {
      const Window cols = window(w, c.stride, c.w);
      Vec v = load(from + cols.begin * kWidth);
      for (int64_t i = cols.begin + 1; i < cols.end; ++i) v = step(v, load(from + i * kWidth));
      store(to + w * kWidth, v);
    };
    along(c.out_w, c.stride, c.w, border, [&](int64_t w) {
      const float* p = from + (w * c.stride - 1) * kWidth;
      store(to + w * kWidth, step(step(load(p), load(p + kWidth)), load(p + 2 * kWidth)));
    });
  };
  int64_t next = 0;
  for (int64_t h = 0; h < c.out_h; ++h, out += rows.row_size) {
    const Window range = window(h, c.stride, c.h);
    for (; next < range.end; ++next) start_row(next);
    const float *first = rows.at(range.begin), *second = rows.at(range.begin + 1), *third = rows.at(range.begin + 2);
    const int64_t count = range.end - range.begin;
    for (int64_t i = 0; i < rows.row_size; i += kWidth) {
      Vec v = load(first + i);
      if (count > 1) v = step(v, load(second + i));
      if (count > 2) v = step(v, load(third + i));
      store(out + i, v);
    }
    row_done(h, out);
  }
}

// Divides row h of the outputs by the number of pixels of each window.
AD_INLINE void divide_row(const Pool& c, int64_t h, const float* in, float* out) {
  const Window rows = window(h, c.stride, c.h);
  const int64_t count = rows.end - rows.begin;
  const auto divide = [&](int64_t w, Vec share) { store(out + w * kWidth, load(in + w * kWidth) * share); };
  const auto border = [&](int64_t w) {
    const Window cols = window(w, c.stride, c.w);
    divide(w, broadcast(1.0f / static_cast<float>(count * (cols.end - cols.begin))));
  };
  const Vec share = broadcast(1.0f / static_cast<float>(count * 3));
  along(c.out_w, c.stride, c.w, border, [&](int64_t w) { divide(w, share); });
}

}  // namespace

void max_pool(const Pool& c, const float* in, float* out) {
  separable(
      c, in, out, [](Vec best, Vec value) { return select(wins(value, best), value, best); }, [](int64_t, float*) {});
}

void avg_pool(const Pool& c, const float* in, float* out) {
  separable(
      c, in, out, [](Vec sum, Vec value) { return sum + value; },
      [&](int64_t h, float* row) { divide_row(c, h, row, row); });
}

// index: 3 * row + column of the maximum, counted from the window's first position, whether inside the image or not
void max_pool_index(const Pool& c, const float* in, float* out, float* index) {
  const int64_t row_size = c.out_w * kWidth;
  const Ring rows{c.scratch, row_size}, columns{c.scratch + 3 * row_size, row_size};
  const auto start_row = [&](int64_t r) {
    const float* from = in + r * c.w * kWidth;
    float *to = rows.at(r), *to_column = columns.at(r);
    const auto maximum = [&](int64_t w, int64_t begin, int64_t end, float position) {
      const float* p = from + begin * kWidth;
      Vec best = load(p), at = broadcast(position);
      AD_UNROLL for (int64_t i = begin + 1; i < end; ++i) {
        const Vec value = load(p += kWidth);
        const IntVec win = wins(value, best);
        best = select(win, value, best);
        at = select(win, broadcast(position += 1.0f), at);
      }
      store(to + w * kWidth, best);
      store(to_column + w * kWidth, at);
    };
    const auto border = [&](int64_t w) {
      const Window cols = window(w, c.stride, c.w);
      maximum(w, cols.begin, cols.end, static_cast<float>(cols.begin - (w * c.stride - 1)));
    };
    along(c.out_w, c.stride, c.w, border, [&](int64_t w) { maximum(w, w * c.stride - 1, w * c.stride + 2, 0.0f); });
  };
  int64_t next = 0;
  for (int64_t h = 0; h < c.out_h; ++h, out += row_size, index += row_size) {
    const Window range = window(h, c.stride, c.h);
    for (; next < range.end; ++next) start_row(next);
    const float offset = static_cast<float>(3 * (range.begin - (h * c.stride - 1)));
    for (int64_t i = 0; i < row_size; i += kWidth) {
      Vec best = load(rows.at(range.begin) + i), at = load(columns.at(range.begin) + i) + broadcast(offset);
      float row = offset;
      for (int64_t r = range.begin + 1; r < range.end; ++r) {
        row += 3.0f;
        const Vec value = load(rows.at(r) + i);
        const IntVec win = wins(value, best);
        best = select(win, value, best);
        at = select(win, load(columns.at(r) + i) + broadcast(row), at);
      }
      store(out + i, best);
      store(index + i, at);
    }
  }
}

void max_pool_grad(const Pool& c, const float* index, const float* grad_out, float* grad_in) {
  const auto from = [&](int64_t at, int64_t position, Vec sum) {
    const IntVec here = load(index + at) == broadcast(static_cast<float>(position));
    return sum + select(here, load(grad_out + at), zero());
  };
  for (int64_t r = 0; r < c.h; ++r) {
    float* row = grad_in + r * c.w * kWidth;
    const Window rows = outputs_of(r, c.stride, c.out_h);
    const auto border = [&](int64_t q) {
      const Window cols = outputs_of(q, c.stride, c.out_w);
      Vec sum = load(row + q * kWidth);
      for (int64_t h = rows.begin; h < rows.end; ++h) {
        for (int64_t w = cols.begin; w < cols.end; ++w) {
          sum = from((h * c.out_w + w) * kWidth, 3 * (r - h * c.stride + 1) + (q - w * c.stride + 1), sum);
        }
      }
      store(row + q * kWidth, sum);
    };
    if (c.stride != 1 || rows.end - rows.begin != 3) {
      for (int64_t q = 0; q < c.w; ++q) border(q);
      continue;
    }
    along(c.w, 1, c.w, border, [&](int64_t q) {
      Vec sum = load(row + q * kWidth);
      AD_UNROLL for (int i = 0; i < 3; ++i) {
        AD_UNROLL for (int j = 0; j < 3; ++j) {
          sum = from(((r - 1 + i) * c.out_w + q - 1 + j) * kWidth, 3 * (2 - i) + (2 - j), sum);
        }
      }
      store(row + q * kWidth, sum);
    });
  }
}

void avg_pool_grad(const Pool& c, const float* grad_out, float* grad_in) {
  float* divided = c.scratch;
  const Ring spread{c.scratch + c.out_w * kWidth, c.w * kWidth};
  const auto start_row = [&](int64_t h) {
    divide_row(c, h, grad_out + h * c.out_w * kWidth, divided);
    float* to = spread.at(h);
    const auto border = [&](int64_t q) {
      const Window cols = outputs_of(q, c.stride, c.out_w);
      Vec sum = zero();
      for (int64_t w = cols.begin; w < cols.end; ++w) sum += load(divided + w * kWidth);
      store(to + q * kWidth, sum);
    };
    if (c.stride != 1) {
      for (int64_t q = 0; q < c.w; ++q) border(q);
      return;
    }
    along(c.w, 1, c.w, border, [&](int64_t q) {
      const float* p = divided + (q - 1) * kWidth;
      store(to + q * kWidth, load(p) + load(p + kWidth) + load(p + 2 * kWidth));
    });
  };
  int64_t next = 0;
  for (int64_t r = 0; r < c.h; ++r, grad_in += spread.row_size) {
    const Window range = outputs_of(r, c.stride, c.out_h);
    for (; next < range.end; ++next) start_row(next);
    for (int64_t i = 0; i < spread.row_size; i += kWidth) {
      Vec sum = load(grad_in + i);
      for (int64_t h = range.begin; h < range.end; ++h) sum += load(spread.at(h) + i);
      store(grad_in + i, sum);
    }
  }
}

}  // namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA

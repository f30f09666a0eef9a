// 3x3 pools with one pixel of padding that takes no part. NCHW, contiguous.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "../../common/mixed_edges.h"
#include "../../common/parallel.h"

namespace amended_darts::mixed::plain {

// The part of a 3x3 window around output (oy, ox) that lies inside the image.
struct Window {
  int64_t y0, y1, x0, x1;
  Window(const Shape& shape, int64_t oy, int64_t ox)
      : y0(std::max<int64_t>(oy * shape.stride - 1, 0)),
        y1(std::min(oy * shape.stride + 2, shape.h)),
        x0(std::max<int64_t>(ox * shape.stride - 1, 0)),
        x1(std::min(ox * shape.stride + 2, shape.w)) {}
  int64_t count() const { return (y1 - y0) * (x1 - x0); }
};

// The first largest pixel in row-major order; a NaN counts as larger than everything, the last one wins.
template <typename T>
int64_t argmax(const T* in, int64_t width, const Window& window) {
  int64_t best = window.y0 * width + window.x0;
  T value = -std::numeric_limits<T>::infinity();
  for (int64_t y = window.y0; y < window.y1; ++y)
    for (int64_t x = window.x0; x < window.x1; ++x) {
      const T v = in[y * width + x];
      if (v > value || std::isnan(v)) {
        value = v;
        best = y * width + x;
      }
    }
  return best;
}

// Calls pixel(in or grad_in plane offset, out offset, window) for every output pixel of every plane, planes in
// parallel.
template <typename Pixel>
void for_each_window(const Shape& shape, const Pixel& pixel) {
  parallel_for(shape.n * shape.c, 1, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane)
      for (int64_t oy = 0; oy < shape.out_h(); ++oy)
        for (int64_t ox = 0; ox < shape.out_w(); ++ox)
          pixel(plane * shape.in_plane(), plane * shape.out_plane() + oy * shape.out_w() + ox, Window(shape, oy, ox));
  });
}

template <typename T>
void pool_forward(const Shape& shape, Kind kind, const T* x, T* y) {
  for_each_window(shape, [&](int64_t in, int64_t out, const Window& window) {
    if (kind == Kind::max_pool) {
      y[out] = x[in + argmax(x + in, shape.w, window)];
      return;
    }
    T sum = 0;
    for (int64_t i = window.y0; i < window.y1; ++i)
      for (int64_t j = window.x0; j < window.x1; ++j) sum += x[in + i * shape.w + j];
    y[out] = sum / static_cast<T>(window.count());
  });
}

// grad_x += the pool's transpose applied to grad_y.
template <typename T>
void pool_backward(const Shape& shape, Kind kind, const T* x, const T* grad_y, T* grad_x) {
  for_each_window(shape, [&](int64_t in, int64_t out, const Window& window) {
    if (kind == Kind::max_pool) {
      grad_x[in + argmax(x + in, shape.w, window)] += grad_y[out];
      return;
    }
    const T share = grad_y[out] / static_cast<T>(window.count());
    for (int64_t i = window.y0; i < window.y1; ++i)
      for (int64_t j = window.x0; j < window.x1; ++j) grad_x[in + i * shape.w + j] += share;
  });
}

}  // namespace amended_darts::mixed::plain

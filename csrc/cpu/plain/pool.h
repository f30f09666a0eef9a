// 3x3 pools with one pixel of padding that takes no part. NCHW, contiguous.
#pragma once

#include <cstdint>

#include "../../common/mixed_edges.h"
#include "../../common/parallel.h"
#include "../../common/pool.h"

namespace amended_darts::mixed::plain {

template <typename T>
Pooled<T, int64_t> pool(const T* in, int64_t width, const Window<int64_t>& window) {
  return pool<T>(window, [&](int64_t y, int64_t x) { return in[y * width + x]; });
}

// Calls pixel(in or grad_in plane offset, out offset, window) for every output pixel of every plane, planes in
// parallel.
template <typename Pixel>
void for_each_window(const Shape& shape, const Pixel& pixel) {
  parallel_for(shape.n * shape.c, 1, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane)
      for (int64_t oy = 0; oy < shape.out_h(); ++oy)
        for (int64_t ox = 0; ox < shape.out_w(); ++ox)
          pixel(plane * shape.in_plane(), plane * shape.out_plane() + oy * shape.out_w() + ox,
                Window<int64_t>(oy, ox, shape.stride, shape.h, shape.w));
  });
}

template <typename T>
void pool_forward(const Shape& shape, Kind kind, const T* x, T* y) {
  for_each_window(shape, [&](int64_t in, int64_t out, const Window<int64_t>& window) {
    const auto pooled = pool(x + in, shape.w, window);
    y[out] = kind == Kind::max_pool ? pooled.max : pooled.average;
  });
}

// grad_x += the pool's transpose applied to grad_y.
template <typename T>
void pool_backward(const Shape& shape, Kind kind, const T* x, const T* grad_y, T* grad_x) {
  for_each_window(shape, [&](int64_t in, int64_t out, const Window<int64_t>& window) {
    if (kind == Kind::max_pool) {
      const auto pooled = pool(x + in, shape.w, window);
      grad_x[in + pooled.y * shape.w + pooled.x] += grad_y[out];
      return;
    }
    const T share = grad_y[out] / static_cast<T>(window.count());
    for (int64_t i = window.y0; i < window.y1; ++i)
      for (int64_t j = window.x0; j < window.x1; ++j) grad_x[in + i * shape.w + j] += share;
  });
}

}  // namespace amended_darts::mixed::plain

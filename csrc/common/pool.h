// 3x3 pools with one pixel of padding that takes no part, one output at a time, the same on host and device.
#pragma once

#include <cmath>

#include "host_device.h"

namespace amended_darts::mixed {

// The part of a window that lies inside the image, around output (y, x). I: the type of indices.
template <typename I>
struct Window {
  I y0, y1, x0, x1;
  AMENDED_DARTS_HOST_DEVICE Window(I y, I x, I stride, I h, I w)
      : y0(y * stride > 0 ? y * stride - 1 : 0),
        y1(y * stride + 2 < h ? y * stride + 2 : h),
        x0(x * stride > 0 ? x * stride - 1 : 0),
        x1(x * stride + 2 < w ? x * stride + 2 : w) {}
  AMENDED_DARTS_HOST_DEVICE I count() const { return (y1 - y0) * (x1 - x0); }
};

template <typename A, typename I>
struct Pooled {
  A max, average;
  I y, x;  // where the largest is: the first in row-major order; a NaN counts as larger than everything, the last wins
};

// load(y, x): a pixel
template <typename A, typename I, typename Load>
AMENDED_DARTS_HOST_DEVICE inline Pooled<A, I> pool(const Window<I>& window, const Load& load) {
  Pooled<A, I> result{static_cast<A>(-INFINITY), A(0), window.y0, window.x0};
  for (I y = window.y0; y < window.y1; ++y)
    for (I x = window.x0; x < window.x1; ++x) {
      const A v = load(y, x);
      result.average += v;
      if (v > result.max || v != v) result.max = v, result.y = y, result.x = x;
    }
  result.average /= static_cast<A>(window.count());
  return result;
}

}  // namespace amended_darts::mixed

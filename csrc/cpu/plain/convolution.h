// Direct convolution, grouped, strided and dilated: every convolution of every candidate. NCHW, contiguous.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../../common/parallel.h"

namespace amended_darts::mixed::plain {

struct Convolution {
  int64_t n, in_c, in_h, in_w;
  int64_t out_c, out_h, out_w;
  int64_t groups, kernel, stride, dilation;
  int64_t padding;  // -1 reads the image shifted by one pixel (FactorizedReduce's second half)

  int64_t in_plane() const { return in_h * in_w; }
  int64_t out_plane() const { return out_h * out_w; }
  int64_t in_per_group() const { return in_c / groups; }
  int64_t out_per_group() const { return out_c / groups; }
  int64_t taps() const { return kernel * kernel; }

  // Output positions [begin, end) whose input position for tap k lies inside [0, size).
  void valid(int64_t k, int64_t size, int64_t out_size, int64_t& begin, int64_t& end) const {
    const int64_t shift = k * dilation - padding;
    begin = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
    end = size > shift ? std::min(out_size, (size - 1 - shift) / stride + 1) : 0;
    end = std::max(begin, end);
  }
  int64_t input(int64_t out, int64_t k) const { return out * stride + k * dilation - padding; }
};

// Calls row(oy, iy, begin, end, ix) for each output row that tap (ky, kx) reaches: outputs [begin, end) of row oy pair
// with inputs ix, ix + stride, ... of row iy.
template <typename Row>
void for_each_row(const Convolution& conv, int64_t ky, int64_t kx, const Row& row) {
  int64_t y0, y1, x0, x1;
  conv.valid(ky, conv.in_h, conv.out_h, y0, y1);
  conv.valid(kx, conv.in_w, conv.out_w, x0, x1);
  if (x0 == x1) return;
  for (int64_t oy = y0; oy < y1; ++oy) row(oy, conv.input(oy, ky), x0, x1, conv.input(x0, kx));
}

// y [N, out_c, out_h, out_w] = conv(x [N, in_c, in_h, in_w], weight [out_c, in_c / groups, k, k]);
// y's planes are y_stride samples apart, so that two convolutions can fill one tensor.
template <typename T>
void convolution_forward(const Convolution& conv, const T* x, const T* weight, T* y, int64_t y_sample) {
  parallel_for(conv.n * conv.out_c, 1, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t n = plane / conv.out_c, o = plane % conv.out_c;
      const int64_t first = o / conv.out_per_group() * conv.in_per_group();
      T* out = y + n * y_sample + o * conv.out_plane();
      std::fill(out, out + conv.out_plane(), T(0));
      for (int64_t i = 0; i < conv.in_per_group(); ++i) {
        const T* in = x + (n * conv.in_c + first + i) * conv.in_plane();
        const T* taps = weight + (o * conv.in_per_group() + i) * conv.taps();
        for (int64_t tap = 0; tap < conv.taps(); ++tap)
          for_each_row(conv, tap / conv.kernel, tap % conv.kernel,
                       [&](int64_t oy, int64_t iy, int64_t x0, int64_t x1, int64_t ix) {
                         T* to = out + oy * conv.out_w;
                         const T* from = in + iy * conv.in_w + ix;
                         const T w = taps[tap];
                         for (int64_t j = x0; j < x1; ++j) to[j] += w * from[(j - x0) * conv.stride];
                       });
      }
    }
  });
}

// grad_x [N, in_c, in_h, in_w] (+)= the transposed convolution of grad_y.
template <typename T>
void convolution_backward_input(const Convolution& conv, const T* grad_y, int64_t y_sample, const T* weight, T* grad_x,
                                bool accumulate) {
  parallel_for(conv.n * conv.in_c, 1, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t n = plane / conv.in_c, c = plane % conv.in_c;
      const int64_t group = c / conv.in_per_group(), i = c % conv.in_per_group();
      T* to_plane = grad_x + plane * conv.in_plane();
      if (!accumulate) std::fill(to_plane, to_plane + conv.in_plane(), T(0));
      for (int64_t o = group * conv.out_per_group(); o < (group + 1) * conv.out_per_group(); ++o) {
        const T* grad = grad_y + n * y_sample + o * conv.out_plane();
        const T* taps = weight + (o * conv.in_per_group() + i) * conv.taps();
        for (int64_t tap = 0; tap < conv.taps(); ++tap)
          for_each_row(conv, tap / conv.kernel, tap % conv.kernel,
                       [&](int64_t oy, int64_t iy, int64_t x0, int64_t x1, int64_t ix) {
                         const T* from = grad + oy * conv.out_w;
                         T* to = to_plane + iy * conv.in_w + ix;
                         const T w = taps[tap];
                         for (int64_t j = x0; j < x1; ++j) to[(j - x0) * conv.stride] += w * from[j];
                       });
      }
    }
  });
}

// grad_weight [out_c, in_c / groups, k, k]; each filter is summed by one thread, samples in order, in double.
template <typename T>
void convolution_backward_weight(const Convolution& conv, const T* grad_y, int64_t y_sample, const T* x,
                                 T* grad_weight) {
  parallel_for(conv.out_c * conv.in_per_group(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t filter = begin; filter < end; ++filter) {
      const int64_t o = filter / conv.in_per_group();
      const int64_t c = o / conv.out_per_group() * conv.in_per_group() + filter % conv.in_per_group();
      for (int64_t tap = 0; tap < conv.taps(); ++tap) {
        double sum = 0;
        for (int64_t n = 0; n < conv.n; ++n) {
          const T* grad = grad_y + n * y_sample + o * conv.out_plane();
          const T* in = x + (n * conv.in_c + c) * conv.in_plane();
          for_each_row(conv, tap / conv.kernel, tap % conv.kernel,
                       [&](int64_t oy, int64_t iy, int64_t x0, int64_t x1, int64_t ix) {
                         const T* a = grad + oy * conv.out_w;
                         const T* b = in + iy * conv.in_w + ix;
                         for (int64_t j = x0; j < x1; ++j) sum += double(a[j]) * double(b[(j - x0) * conv.stride]);
                       });
        }
        grad_weight[filter * conv.taps() + tap] = static_cast<T>(sum);
      }
    }
  });
}

}  // namespace amended_darts::mixed::plain

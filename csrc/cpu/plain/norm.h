// BatchNorm over [N, C, P] with batch or given statistics; sums in double, one thread per channel.
#pragma once

#include <cstdint>

#include "../../common/norm.h"
#include "../../common/parallel.h"

namespace amended_darts::mixed::plain {

template <typename T>
struct Norm {
  int64_t n, c, plane;
  double eps;
  bool batch_stats;
  const T* weight;  // [C] or null
  const T* bias;    // [C] or null

  T scale(int64_t channel) const { return weight ? weight[channel] : T(1); }
  double reciprocal_deviation_of(T var) const { return reciprocal_deviation(static_cast<double>(var), eps); }

  // Calls body(channel, offset of the plane) for each plane of the channels, a channel's planes on one thread.
  template <typename Body>
  void for_each_channel(const Body& body) const {
    parallel_for(c, 1, [&](int64_t begin, int64_t end) {
      for (int64_t channel = begin; channel < end; ++channel) body(channel);
    });
  }
  template <typename Element>
  void for_each_element(int64_t channel, const Element& element) const {
    for (int64_t sample = 0; sample < n; ++sample) {
      const int64_t offset = (sample * c + channel) * plane;
      for (int64_t i = 0; i < plane; ++i) element(offset + i);
    }
  }

  // mean [C] and biased var [C] of z.
  void statistics(const T* z, T* mean, T* var) const {
    const double count = static_cast<double>(n * plane);
    for_each_channel([&](int64_t channel) {
      double sum = 0, squares = 0;
      for_each_element(channel, [&](int64_t i) { sum += z[i]; });
      const double center = sum / count;
      for_each_element(channel, [&](int64_t i) { squares += (z[i] - center) * (z[i] - center); });
      mean[channel] = static_cast<T>(center);
      var[channel] = static_cast<T>(squares / count);
    });
  }

  // z = (z - mean) * rstd * weight + bias, in place.
  void apply(const T* mean, const T* var, T* z) const {
    for_each_channel([&](int64_t channel) {
      const Affine<T> affine{mean[channel], static_cast<T>(reciprocal_deviation_of(var[channel])) * scale(channel),
                             bias ? bias[channel] : T(0)};
      for_each_element(channel, [&](int64_t i) { z[i] = affine(z[i]); });
    });
  }

  // From grad of the normalised output and z, the input of the norm: grad becomes the gradient of z, in place.
  // grad_weight and grad_bias [C] may be null.
  void backward(const T* mean, const T* var, const T* z, T* grad, T* grad_weight, T* grad_bias) const {
    const double count = static_cast<double>(n * plane);
    for_each_channel([&](int64_t channel) {
      const double m = mean[channel], r = reciprocal_deviation_of(var[channel]);
      double sum = 0, dot = 0;
      for_each_element(channel, [&](int64_t i) {
        sum += grad[i];
        dot += grad[i] * (z[i] - m);
      });
      dot *= r;
      if (grad_weight) grad_weight[channel] = static_cast<T>(dot);
      if (grad_bias) grad_bias[channel] = static_cast<T>(sum);
      const double a = r * scale(channel);
      if (!batch_stats) {
        for_each_element(channel, [&](int64_t i) { grad[i] = static_cast<T>(a * grad[i]); });
        return;
      }
      const auto correction = Correction<double>::of(sum, dot, count, r);
      for_each_element(
          channel, [&](int64_t i) { grad[i] = static_cast<T>(norm_grad<double>(grad[i], z[i], m, a, correction)); });
    });
  }
};

}  // namespace amended_darts::mixed::plain

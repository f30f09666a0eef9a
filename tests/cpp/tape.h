// A few tensor operations in double with their gradients, written as plainly as possible: the truth that kernels are
// compared with.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

namespace tape {

struct Node {
  std::vector<double> value, grad;
  int64_t n = 1, c = 1, h = 1, w = 1;

  Node(int64_t n_, int64_t c_, int64_t h_, int64_t w_)
      : value(static_cast<size_t>(n_ * c_ * h_ * w_)), grad(value.size()), n(n_), c(c_), h(h_), w(w_) {}
  size_t at(int64_t i, int64_t j, int64_t y, int64_t x) const {
    return static_cast<size_t>(((i * c + j) * h + y) * w + x);
  }
};
using Tensor = std::shared_ptr<Node>;

inline Tensor make(int64_t n, int64_t c, int64_t h, int64_t w) { return std::make_shared<Node>(n, c, h, w); }

class Tape {
 public:
  Tensor relu(const Tensor& x) {
    Tensor y = make(x->n, x->c, x->h, x->w);
    for (size_t i = 0; i < y->value.size(); ++i) y->value[i] = x->value[i] < 0 ? 0 : x->value[i];
    record([=] {
      for (size_t i = 0; i < y->value.size(); ++i) x->grad[i] += x->value[i] <= 0 ? 0 : y->grad[i];
    });
    return y;
  }

  // weight [out, in / groups, k, k]; padding may be negative (a crop) and is the same on the top and the left
  Tensor conv(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding, int64_t dilation, int64_t groups,
              int64_t out_h, int64_t out_w) {
    Tensor y = make(x->n, weight->n, out_h, out_w);
    const int64_t per_group = weight->n / groups;
    const auto each = [=](auto&& body) {
      for (int64_t n = 0; n < y->n; ++n)
        for (int64_t m = 0; m < y->c; ++m)
          for (int64_t h = 0; h < out_h; ++h)
            for (int64_t w = 0; w < out_w; ++w)
              for (int64_t k = 0; k < weight->c; ++k)
                for (int64_t a = 0; a < weight->h; ++a)
                  for (int64_t b = 0; b < weight->w; ++b) {
                    const int64_t r = h * stride - padding + a * dilation, q = w * stride - padding + b * dilation;
                    if (r < 0 || q < 0 || r >= x->h || q >= x->w) continue;
                    body(y->at(n, m, h, w), x->at(n, m / per_group * weight->c + k, r, q), weight->at(m, k, a, b));
                  }
    };
    each([&](size_t o, size_t i, size_t p) { y->value[o] += x->value[i] * weight->value[p]; });
    record([=] {
      each([&](size_t o, size_t i, size_t p) {
        x->grad[i] += y->grad[o] * weight->value[p];
        weight->grad[p] += y->grad[o] * x->value[i];
      });
    });
    return y;
  }

  Tensor concat(const Tensor& a, const Tensor& b) {
    Tensor y = make(a->n, a->c + b->c, a->h, a->w);
    const auto each = [=](auto&& body) {
      for (int64_t n = 0; n < y->n; ++n)
        for (int64_t c = 0; c < y->c; ++c)
          for (int64_t h = 0; h < y->h; ++h)
            for (int64_t w = 0; w < y->w; ++w) {
              const Tensor& from = c < a->c ? a : b;
              body(y->at(n, c, h, w), *from, from->at(n, c < a->c ? c : c - a->c, h, w));
            }
    };
    each([&](size_t o, Node& from, size_t i) { y->value[o] = from.value[i]; });
    record([=] { each([&](size_t o, Node& from, size_t i) { from.grad[i] += y->grad[o]; }); });
    return y;
  }

  Tensor pool(const Tensor& x, bool max, int64_t stride, int64_t out_h, int64_t out_w) {
    Tensor y = make(x->n, x->c, out_h, out_w);
    const auto window = [=](int64_t h, int64_t w, auto&& body) {
      for (int64_t r = h * stride - 1; r <= h * stride + 1; ++r)
        for (int64_t q = w * stride - 1; q <= w * stride + 1; ++q)
          if (r >= 0 && q >= 0 && r < x->h && q < x->w) body(r, q);
    };
    const auto each = [=](auto&& body) {
      for (int64_t n = 0; n < y->n; ++n)
        for (int64_t c = 0; c < y->c; ++c)
          for (int64_t h = 0; h < out_h; ++h)
            for (int64_t w = 0; w < out_w; ++w) {
              size_t best = 0, out = y->at(n, c, h, w);
              bool first = true;
              double sum = 0, count = 0;
              window(h, w, [&](int64_t r, int64_t q) {
                const double v = x->value[x->at(n, c, r, q)];
                if (first || v > x->value[best] || std::isnan(v)) best = x->at(n, c, r, q);
                first = false;
                sum += v;
                count += 1;
              });
              if (max) {
                body(out, best, x->value[best], 1.0);
              } else {
                window(h, w, [&](int64_t r, int64_t q) { body(out, x->at(n, c, r, q), sum / count, 1.0 / count); });
              }
            }
    };
    each([&](size_t o, size_t, double value, double) { y->value[o] = value; });
    record([=] { each([&](size_t o, size_t i, double, double share) { x->grad[i] += y->grad[o] * share; }); });
    return y;
  }

  // Batch statistics unless mean and var are given; they are written where the caller wants to see them.
  Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps, bool given, double* mean,
                    double* var) {
    Tensor y = make(x->n, x->c, x->h, x->w);
    const double count = static_cast<double>(x->n * x->h * x->w);
    const auto each = [=](int64_t c, auto&& body) {
      for (int64_t n = 0; n < x->n; ++n)
        for (int64_t h = 0; h < x->h; ++h)
          for (int64_t w = 0; w < x->w; ++w) body(x->at(n, c, h, w));
    };
    std::vector<double> means(static_cast<size_t>(x->c)), rstds(means.size());
    for (int64_t c = 0; c < x->c; ++c) {
      if (!given) {
        double sum = 0, square = 0;
        each(c, [&](size_t i) { sum += x->value[i]; });
        mean[c] = sum / count;
        each(c, [&](size_t i) { square += (x->value[i] - mean[c]) * (x->value[i] - mean[c]); });
        var[c] = square / count;
      }
      const double rstd = 1 / std::sqrt(var[c] + eps), m = mean[c];
      means[static_cast<size_t>(c)] = m;
      rstds[static_cast<size_t>(c)] = rstd;
      const size_t k = static_cast<size_t>(c);
      each(c, [&](size_t i) { y->value[i] = (x->value[i] - m) * rstd * gamma->value[k] + beta->value[k]; });
    }
    record([=] {
      for (int64_t c = 0; c < x->c; ++c) {
        const size_t k = static_cast<size_t>(c);
        const double m = means[k], rstd = rstds[k];
        double sum = 0, dot = 0;
        each(c, [&](size_t i) {
          sum += y->grad[i];
          dot += y->grad[i] * (x->value[i] - m) * rstd;
        });
        gamma->grad[k] += dot;
        beta->grad[k] += sum;
        each(c, [&](size_t i) {
          const double statistics = given ? 0 : sum / count + (x->value[i] - m) * rstd * dot / count;
          x->grad[i] += gamma->value[k] * rstd * (y->grad[i] - statistics);
        });
      }
    });
    return y;
  }

  // y += weight[n] * x, the weights one for all images or one for each
  void add_weighted(const Tensor& y, const Tensor& x, const Tensor& weight, const std::vector<size_t>& index) {
    const auto each = [=](auto&& body) {
      for (int64_t n = 0; n < x->n; ++n)
        for (int64_t i = 0; i < x->c * x->h * x->w; ++i)
          body(static_cast<size_t>(n * x->c * x->h * x->w + i), index[static_cast<size_t>(n)]);
    };
    each([&](size_t i, size_t k) { y->value[i] += weight->value[k] * x->value[i]; });
    record([=] {
      each([&](size_t i, size_t k) {
        x->grad[i] += weight->value[k] * y->grad[i];
        weight->grad[k] += y->grad[i] * x->value[i];
      });
    });
  }

  void backward() {
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) (*step)();
  }

 private:
  void record(std::function<void()> step) { steps_.push_back(std::move(step)); }
  std::vector<std::function<void()>> steps_;
};

}  // namespace tape

// BatchNorm and the weighted sum over one block of channels: statistics, application, gradients.
//
// z - center is always taken first: with a large mean, scale * z + bias would cancel.
#include "kernels_isa.h"

namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA {
namespace {

constexpr int kSets = 4;  // independent sums

AD_INLINE Vec total(const Vec (&sum)[kSets]) { return (sum[0] + sum[1]) + (sum[2] + sum[3]); }

AD_INLINE void add(double* out, Vec v) {
  for (int i = 0; i < kWidth; ++i) out[i] += static_cast<double>(v[i]);
}

// body(begin, end) on runs short enough for sums in floats
template <typename Body>
AD_INLINE void in_runs(int64_t count, const Body& body) {
  constexpr int64_t kRun = 1024;
  for (int64_t p = 0; p < count; p += kRun) body(p, p + kRun < count ? p + kRun : count);
}

// body(pixel, set), the sets taking turns
template <typename Body>
AD_INLINE void each(int64_t begin, int64_t end, const Body& body) {
  int64_t p = begin;
  for (; p + kSets <= end; p += kSets) {
    AD_UNROLL for (int set = 0; set < kSets; ++set) body(p + set, set);
  }
  for (; p < end; ++p) body(p, 0);
}

AD_INLINE Vec normalize(Vec z, Vec center, Vec scale, Vec bias) { return fma(z - center, scale, bias); }

}  // namespace

void normalize_relu(const float* z, const float* center, const float* scale, const float* bias, int64_t count,
                    float* out) {
  const Vec m = load(center), s = load(scale), b = load(bias);
  for (int64_t p = 0; p < count * kWidth; p += kWidth) store(out + p, relu(normalize(load(z + p), m, s, b)));
}

void combine(const Term* terms, int64_t num_terms, const float* bias, int64_t count, float* out) {
  constexpr int kPixels = 4;
  const Vec b = load(bias);
  int64_t p = 0;
  for (; p + kPixels <= count; p += kPixels) {
    Vec sum[kPixels];
    AD_UNROLL for (int i = 0; i < kPixels; ++i) sum[i] = b;
    for (int64_t t = 0; t < num_terms; ++t) {
      const Vec m = load(terms[t].center), s = load(terms[t].scale);
      const float* z = terms[t].value + p * kWidth;
      AD_UNROLL for (int i = 0; i < kPixels; ++i) sum[i] = normalize(load(z + i * kWidth), m, s, sum[i]);
    }
    AD_UNROLL for (int i = 0; i < kPixels; ++i) store(out + (p + i) * kWidth, sum[i]);
  }
  for (; p < count; ++p) {
    Vec sum = b;
    for (int64_t t = 0; t < num_terms; ++t) {
      sum = normalize(load(terms[t].value + p * kWidth), load(terms[t].center), load(terms[t].scale), sum);
    }
    store(out + p * kWidth, sum);
  }
}

void norm_grad(const NormGrad& norm, const float* grad, const float* z, int64_t count, bool accumulate, float* out) {
  const Vec a = broadcast(norm.factor) * load(norm.a);
  const Vec b = norm.b ? load(norm.b) : zero(), k = norm.k ? load(norm.k) : zero();
  const Vec center = norm.center ? load(norm.center) : zero();
  for (int64_t p = 0; p < count * kWidth; p += kWidth) {
    Vec v = a * load(grad + p);
    if (norm.b) v += fma(b, load(z + p) - center, k);
    store(out + p, accumulate ? load(out + p) + v : v);
  }
}

// Sums of z - shift and of its square, the shift being the mean of a few pixels: no large mean is ever squared.
void moments(const float* z, int64_t count, double* mean, double* m2) {
  constexpr int64_t kSamples = 8;
  const int64_t samples = count < kSamples ? count : kSamples;
  Vec shift = zero();
  for (int64_t i = 0; i < samples; ++i) shift += load(z + (count * (2 * i + 1) / (2 * samples)) * kWidth);
  shift *= broadcast(1.0f / static_cast<float>(samples));

  double first[kWidth] = {}, second[kWidth] = {};
  in_runs(count, [&](int64_t begin, int64_t end) {
    Vec sums[kSets] = {}, squares[kSets] = {};
    each(begin, end, [&](int64_t p, int set) {
      const Vec d = load(z + p * kWidth) - shift;
      sums[set] += d;
      squares[set] = fma(d, d, squares[set]);
    });
    add(first, total(sums));
    add(second, total(squares));
  });
  for (int i = 0; i < kWidth; ++i) {
    const double d = first[i] / static_cast<double>(count);
    mean[i] = static_cast<double>(shift[i]) + d;
    m2[i] = second[i] - d * first[i];
  }
}

void sum(const float* g, int64_t count, double* out) {
  in_runs(count, [&](int64_t begin, int64_t end) {
    Vec sums[kSets] = {};
    each(begin, end, [&](int64_t p, int set) { sums[set] += load(g + p * kWidth); });
    add(out, total(sums));
  });
}

void dot(const float* g, const float* z, const float* center, int64_t count, double* out) {
  const Vec m = load(center);
  in_runs(count, [&](int64_t begin, int64_t end) {
    Vec sums[kSets] = {};
    each(begin, end,
         [&](int64_t p, int set) { sums[set] = fma(load(g + p * kWidth), load(z + p * kWidth) - m, sums[set]); });
    add(out, total(sums));
  });
}

void masked_sums(const float* z, const float* center, const float* scale, const float* bias, int64_t count, float* g,
                 double* sum, double* dot) {
  const Vec m = load(center), s = load(scale), b = load(bias);
  in_runs(count, [&](int64_t begin, int64_t end) {
    Vec sums[kSets] = {}, dots[kSets] = {};
    each(begin, end, [&](int64_t p, int set) {
      const Vec d = load(z + p * kWidth) - m;
      const Vec v = relu_grad(fma(d, s, b), load(g + p * kWidth));
      store(g + p * kWidth, v);
      sums[set] += v;
      dots[set] = fma(v, d, dots[set]);
    });
    add(sum, total(sums));
    add(dot, total(dots));
  });
}

}  // namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA

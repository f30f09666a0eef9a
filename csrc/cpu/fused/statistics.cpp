#include "statistics.h"

namespace amended_darts::mixed::fused {
namespace {

// Chan, Golub, LeVeque: the moments of two samples together.
struct Pair {
  double mean, m2;
};
Pair together(double count_a, Pair a, double count_b, Pair b) {
  const double delta = b.mean - a.mean, count = count_a + count_b;
  return {a.mean + delta * (count_b / count), a.m2 + b.m2 + delta * delta * (count_a * count_b / count)};
}

}  // namespace

void Moments::merge(int64_t block, int64_t first, int64_t count, int64_t before, int64_t pixels,
                    const double* other_mean, const double* other_m2) const {
  double* means = mean(block) + first;
  double* m2s = m2(block) + first;
  for (int64_t i = 0; i < count; ++i) {
    Pair sum{other_mean[i], other_m2[i]};
    if (before > 0) sum = together(static_cast<double>(before), {means[i], m2s[i]}, static_cast<double>(pixels), sum);
    means[i] = sum.mean;
    m2s[i] = sum.m2;
  }
}

void batch_statistics(const Moments& moments, const Blocks& blocks, int64_t pixels, int64_t channels, float* mean,
                      float* var) {
  const double total = static_cast<double>(blocks.images * pixels);
  for (int64_t c = 0; c < channels; ++c) {
    Pair sum{0, 0};
    for (int64_t b = 0; b < blocks.count; ++b) {
      const double before = static_cast<double>(blocks.begin(b) * pixels);
      const double count = static_cast<double>((blocks.end(b) - blocks.begin(b)) * pixels);
      sum = together(before, sum, count, {moments.mean(b)[c], moments.m2(b)[c]});
    }
    mean[c] = static_cast<float>(sum.mean);
    var[c] = static_cast<float>(sum.m2 / total);
  }
}

}  // namespace amended_darts::mixed::fused

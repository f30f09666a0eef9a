#include "norm_backward.h"

namespace amended_darts::mixed::fused {

NormBackward norm_backward(const Call& call, int64_t edge, int norm, const float* var, const GradSums& sums,
                           const std::function<float(int64_t)>& weight, float* grad_bn_weight, float* grad_bn_bias) {
  const Geometry& g = call.geometry;
  const size_t lanes = static_cast<size_t>(g.channels.out_lanes());
  NormBackward result{std::vector<float>(lanes), {}, {}, nullptr};
  if (call.edges.batch_stats) {
    result.b.resize(lanes);
    result.k.resize(lanes);
  }
  const double count = static_cast<double>(call.edges.shape.n * g.out_pixels());
  for (int64_t c = 0; c < g.channels.out; ++c) {
    const double rstd = call.rstd(var, edge, norm, c);
    const double scale = static_cast<double>(call.gamma(edge, norm, c)) * rstd;
    const size_t i = static_cast<size_t>(c);
    result.a[i] = static_cast<float>(scale);
    if (!call.edges.batch_stats && grad_bn_weight == nullptr && grad_bn_bias == nullptr) continue;
    double sum = 0, dot = 0;
    for (int64_t row = 0; row < sums.rows; ++row) {
      sum += static_cast<double>(weight(row)) * *sums.grad.at(row, c);
      dot += static_cast<double>(weight(row)) * *sums.dot.at(row, c);
    }
    if (call.edges.batch_stats) {
      result.b[i] = static_cast<float>(-scale * rstd * rstd * dot / count);
      result.k[i] = static_cast<float>(-scale * sum / count);
    }
    if (grad_bn_weight != nullptr) grad_bn_weight[call.norm_row(edge, norm) + c] = static_cast<float>(rstd * dot);
    if (grad_bn_bias != nullptr) grad_bn_bias[call.norm_row(edge, norm) + c] = static_cast<float>(sum);
  }
  return result;
}

double weight_grad(const Call& call, int64_t edge, int norm, const float* var, const GradSums& sums, int64_t row) {
  double total = 0;
  for (int64_t c = 0; c < call.geometry.channels.out; ++c) {
    if (norm < 0) {
      total += *sums.dot.at(row, c);
    } else {
      const double scale = static_cast<double>(call.gamma(edge, norm, c)) * call.rstd(var, edge, norm, c);
      total += scale * *sums.dot.at(row, c) + static_cast<double>(call.beta(edge, norm, c)) * *sums.grad.at(row, c);
    }
  }
  return total;
}

}  // namespace amended_darts::mixed::fused

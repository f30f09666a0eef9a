// The mixed op composed of the tape's operations.
#include <algorithm>
#include <cmath>

#include "mixed_case.h"
#include "tape.h"

namespace mixed_case {
namespace {

using namespace amended_darts::mixed;
using tape::Tensor;

size_t size(int64_t i) { return static_cast<size_t>(i); }

Tensor from(const std::vector<float>& values, int64_t n, int64_t c, int64_t h, int64_t w) {
  Tensor tensor = tape::make(n, c, h, w);
  std::copy(values.begin(), values.end(), tensor->value.begin());
  return tensor;
}

std::vector<float> rounded(const std::vector<double>& values) { return {values.begin(), values.end()}; }

class Truth {
 public:
  Truth(const Config& config, const Inputs& inputs) : config_(config), inputs_(inputs) {
    shape_ = {config.n, config.c, config.h, config.w, config.stride, config.out_c};
    x_ = from(inputs.x, config.n, config.c, config.h, config.w);
    weights_ = from(inputs.weights, 1, 1, 1, static_cast<int64_t>(inputs.weights.size()));
    const size_t norms = inputs.bn_weight.size();
    mean_.assign(inputs.running_mean.begin(), inputs.running_mean.end());
    var_.assign(inputs.running_var.begin(), inputs.running_var.end());
    grad_gamma_.assign(norms, 0);
    grad_beta_.assign(norms, 0);
  }

  Result run(double* kink) {
    for (int64_t e = 0; e < config_.edges; ++e) edge(e);
    tape_.backward();
    for (size_t i = 0; i < gammas_.size(); ++i) {
      for (size_t c = 0; c < size(config_.out_c); ++c) {
        grad_gamma_[i * size(config_.out_c) + c] = gammas_[i]->grad[c];
        grad_beta_[i * size(config_.out_c) + c] = betas_[i]->grad[c];
      }
    }
    *kink = kink_;
    return collect();
  }

 private:
  Tensor norm(const Tensor& x) {
    const int64_t at = static_cast<int64_t>(gammas_.size()) * config_.out_c;
    Tensor gamma = tape::make(1, 1, 1, config_.out_c), beta = tape::make(1, 1, 1, config_.out_c);
    for (int64_t c = 0; c < config_.out_c; ++c) {
      gamma->value[size(c)] = config_.affine ? inputs_.bn_weight[size(at + c)] : 1;
      beta->value[size(c)] = config_.affine ? inputs_.bn_bias[size(at + c)] : 0;
    }
    gammas_.push_back(gamma);
    betas_.push_back(beta);
    return tape_.batch_norm(x, gamma, beta, 1e-5, !config_.batch_stats, mean_.data() + at, var_.data() + at);
  }

  Tensor param(int64_t n, int64_t c, int64_t k) {
    params_.push_back(from(inputs_.params[params_.size()], n, c, k, k));
    return params_.back();
  }

  Tensor candidate(const Candidate& op) {
    const int64_t c = config_.c, out = config_.out_c, oh = shape_.out_h(), ow = shape_.out_w();
    switch (op.kind) {
      case Kind::none: return tape::make(config_.n, c, oh, ow);
      case Kind::max_pool:
      case Kind::avg_pool: {
        const Tensor y = tape_.pool(x_, op.kind == Kind::max_pool, config_.stride, oh, ow);
        return config_.pool_norm ? norm(y) : y;
      }
      case Kind::skip: {
        if (config_.stride == 1) return x_;
        const Tensor x = tape_.relu(x_);
        const Tensor first = tape_.conv(x, param(out / 2, c, 1), 2, 0, 1, 1, oh, ow);
        const Tensor second = tape_.conv(x, param(out - out / 2, c, 1), 2, -1, 1, 1, oh, ow);
        return norm(tape_.concat(first, second));
      }
      case Kind::depthwise: {
        Tensor x = x_;
        for (int i = 0; i < op.halves; ++i) {
          x = tape_.relu(x);
          x = tape_.conv(x, param(c, 1, op.kernel), i == 0 ? config_.stride : 1, op.padding(), op.dilation, c, oh, ow);
          x = norm(tape_.conv(x, param(c, c, 1), 1, 0, 1, 1, oh, ow));
          if (i + 1 < op.halves) {
            for (const double value : x->value) kink_ = std::min(kink_, std::abs(value));
          }
        }
        return x;
      }
      case Kind::dense:
        return norm(tape_.conv(tape_.relu(x_), param(out, c, op.kernel), config_.stride, op.padding(), 1, 1, oh, ow));
    }
    return {};
  }

  void edge(int64_t e) {
    Tensor y = tape::make(config_.n, config_.out_c, shape_.out_h(), shape_.out_w());
    const int64_t candidates = static_cast<int64_t>(config_.candidates.size());
    for (int64_t k = 0; k < candidates; ++k) {
      const Tensor o = candidate(config_.candidates[size(k)]);
      std::vector<size_t> index;
      for (int64_t n = 0; n < config_.n; ++n) {
        index.push_back(size((config_.per_sample ? e * config_.n + n : e) * candidates + k));
      }
      tape_.add_weighted(y, o, weights_, index);
    }
    std::copy(inputs_.grad_y[size(e)].begin(), inputs_.grad_y[size(e)].end(), y->grad.begin());
    y_.push_back(y);
  }

  Result collect() const {
    Result result;
    const auto keep = [&](const char* name, const std::vector<double>& values) {
      result.names.emplace_back(name);
      result.tensors.push_back(rounded(values));
    };
    for (const Tensor& y : y_) keep("y", y->value);
    keep("mean", mean_);
    keep("var", var_);
    if (config_.grad_x) keep("grad_x", x_->grad);
    if (config_.grad_weights) keep("grad_weights", weights_->grad);
    if (config_.grad_params) {
      for (const Tensor& param : params_) keep("grad_param", param->grad);
    }
    if (config_.grad_bn) {
      keep("grad_bn_weight", grad_gamma_);
      keep("grad_bn_bias", grad_beta_);
    }
    return result;
  }

  const Config& config_;
  const Inputs& inputs_;
  Shape shape_;
  tape::Tape tape_;
  Tensor x_, weights_;
  std::vector<Tensor> params_, gammas_, betas_, y_;
  std::vector<double> mean_, var_, grad_gamma_, grad_beta_;
  double kink_ = 1;
};

}  // namespace

Result run_truth(const Config& config, const Inputs& inputs, double* kink) { return Truth(config, inputs).run(kink); }

}  // namespace mixed_case

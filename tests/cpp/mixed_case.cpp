#include "mixed_case.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "../../csrc/cpu/fused/fused.h"

namespace mixed_case {
namespace {

using namespace amended_darts::mixed;

size_t size(int64_t i) { return static_cast<size_t>(i); }

int64_t pick(std::mt19937_64& random, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}
bool chance(std::mt19937_64& random, double p) { return std::bernoulli_distribution(p)(random); }

template <typename Call>
void describe(Call& call, const Config& config, const Inputs& inputs) {
  call.shape = {config.n, config.c, config.h, config.w, config.stride, config.out_c};
  call.edges = config.edges;
  call.candidates = config.candidates;
  call.channels_last = config.channels_last;
  call.pool_norm = config.pool_norm;
  call.per_sample = config.per_sample;
  call.batch_stats = config.batch_stats;
  call.x = inputs.x.data();
  call.weights = inputs.weights.data();
  for (const auto& param : inputs.params) call.params.push_back(param.data());
  if (config.affine) {
    call.bn_weight = inputs.bn_weight.data();
    call.bn_bias = inputs.bn_bias.data();
  }
}

// Sizes of one edge's parameters.
std::vector<std::array<int64_t, 4>> param_shapes(const Config& config) {
  std::vector<std::array<int64_t, 4>> shapes;
  const int64_t c = config.c, out = config.out_c;
  for (const Candidate& candidate : config.candidates) {
    const int64_t k = candidate.kernel;
    switch (candidate.kind) {
      case Kind::skip:
        if (config.stride == 1) break;
        shapes.push_back({out / 2, c, 1, 1});
        shapes.push_back({out - out / 2, c, 1, 1});
        break;
      case Kind::depthwise:
        for (int i = 0; i < candidate.halves; ++i) {
          shapes.push_back({c, 1, k, k});
          shapes.push_back({c, c, 1, 1});
        }
        break;
      case Kind::dense: shapes.push_back({out, c, k, k}); break;
      default: break;
    }
  }
  return shapes;
}

Edges<float> empty_edges(const Config& config) {
  Edges<float> edges;
  describe(edges, config, {});
  return edges;
}

}  // namespace

std::string Config::text() const {
  std::string s = "N=" + std::to_string(n) + " C=" + std::to_string(c) + "->" + std::to_string(out_c) + " " +
                  std::to_string(h) + "x" + std::to_string(w) + " stride=" + std::to_string(stride) +
                  " edges=" + std::to_string(edges);
  for (const Candidate& candidate : candidates) s += " " + std::string(candidate.name);
  const auto flag = [&](bool on, const char* name) { s += on ? std::string(" +") + name : ""; };
  flag(pool_norm, "pool_norm");
  flag(per_sample, "per_sample");
  flag(!batch_stats, "given_stats");
  flag(affine, "affine");
  flag(saved, "saved");
  flag(grad_x, "x");
  flag(grad_weights, "weights");
  flag(grad_params, "params");
  flag(grad_bn, "bn");
  flag(channels_last, "channels_last");
  flag(ties, "ties");
  flag(extremes, "extremes");
  return s + " mean=" + std::to_string(mean);
}

Config random_config(std::mt19937_64& random) {
  Config config;
  config.n = pick(random, 1, 5);
  config.c = pick(random, 1, 40);
  config.h = pick(random, 1, 17);
  config.w = pick(random, 1, 17);
  config.stride = pick(random, 1, 2);
  config.edges = pick(random, 1, 3);
  if (chance(random, 0.2)) config.c = 8 * pick(random, 1, 5);
  for (const Candidate& candidate : kCandidates) {
    if (chance(random, 0.4)) config.candidates.push_back(candidate);
  }
  if (config.candidates.empty()) config.candidates.push_back(kCandidates[4]);
  config.out_c = config.c;
  if (chance(random, 0.25)) {
    std::erase_if(config.candidates, [&](const Candidate& each) { return !each.sets_channels(config.stride); });
    if (config.candidates.empty()) config.candidates.push_back(kCandidates[9]);
    config.out_c = pick(random, 1, 40);
  }
  std::shuffle(config.candidates.begin(), config.candidates.end(), random);
  config.pool_norm = chance(random, 0.7);
  config.per_sample = chance(random, 0.3);
  config.batch_stats = chance(random, 0.8);
  config.affine = chance(random, 0.4);
  config.saved = chance(random, 0.4);
  config.grad_x = chance(random, 0.8);
  config.grad_weights = chance(random, 0.8);
  config.grad_params = chance(random, 0.8);
  config.grad_bn = config.affine && chance(random, 0.8);
  config.mean = chance(random, 0.2) ? 10 : 0;
  config.ties = chance(random, 0.2);
  config.channels_last = chance(random, 0.4);
  return config;
}

Inputs random_inputs(const Config& config, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  const auto fill = [&](int64_t count, float scale, float offset) {
    std::vector<float> values(size(count));
    for (float& value : values) value = offset + scale * normal(random);
    return values;
  };
  const Edges<float> edges = empty_edges(config);
  Inputs inputs;
  inputs.x = fill(edges.shape.in_size(), 1, static_cast<float>(config.mean));
  if (config.ties) {
    for (float& value : inputs.x) value = std::round(value);
  }
  if (config.extremes && !inputs.x.empty()) {
    inputs.x[size(pick(random, 0, edges.shape.in_size() - 1))] = std::numeric_limits<float>::quiet_NaN();
    inputs.x[size(pick(random, 0, edges.shape.in_size() - 1))] = std::numeric_limits<float>::infinity();
  }
  inputs.weights = fill(config.edges * (config.per_sample ? config.n : 1) * edges.num_candidates(), 0.3f, 0.4f);
  for (int64_t e = 0; e < config.edges; ++e) {
    for (const auto& shape : param_shapes(config)) {
      const float fan = static_cast<float>(shape[1] * shape[2] * shape[3]);
      inputs.params.push_back(fill(shape[0] * shape[1] * shape[2] * shape[3], 1 / std::sqrt(fan), 0));
    }
    inputs.grad_y.push_back(fill(edges.shape.out_size(), 1, 0));
  }
  const int64_t norms = config.edges * edges.num_norms() * config.out_c;
  inputs.bn_weight = fill(norms, 0.3f, 1);
  inputs.bn_bias = fill(norms, 0.3f, 0);
  inputs.running_mean = fill(norms, 0.3f, 0);
  inputs.running_var = fill(norms, 0.1f, 1);
  for (float& var : inputs.running_var) var = std::abs(var) + 0.1f;
  return inputs;
}

// [n][a][b] to [n][b][a]: between NCHW and NHWC with the pixels as one axis.
void swap_axes(std::vector<float>& values, int64_t n, int64_t a, int64_t b) {
  const std::vector<float> from = values;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < a; ++j) {
      for (int64_t k = 0; k < b; ++k) values[size((i * b + k) * a + j)] = from[size((i * a + j) * b + k)];
    }
  }
}

// x, grad_y and what comes back in the memory format that config says.
Result run_as_laid_out(const Config& config, const Inputs& inputs) {
  Result result;
  const auto keep = [&](const char* name, int64_t count) {
    result.tensors.emplace_back(size(count), 777.0f);  // every element must be written
    result.names.emplace_back(name);
    return result.tensors.back().data();
  };
  result.tensors.reserve(1000);

  Forward<float> f;
  describe(f, config, inputs);
  const int64_t norms = config.edges * f.num_norms() * config.out_c;
  if (!config.batch_stats) {
    f.running_mean = inputs.running_mean.data();
    f.running_var = inputs.running_var.data();
  }
  for (int64_t e = 0; e < config.edges; ++e) f.y.push_back(keep("y", f.shape.out_size()));
  f.mean = keep("mean", norms);
  f.var = keep("var", norms);
  std::vector<std::vector<float>> saved;
  if (config.saved) {
    for (int64_t e = 0; e < config.edges; ++e) saved.emplace_back(size(fused::saved_size(f)));
    for (auto& buffer : saved) f.saved.push_back(buffer.data());
  }
  fused::forward(f);

  Backward<float> b;
  describe(b, config, inputs);
  b.mean = f.mean;
  b.var = f.var;
  for (const auto& grad : inputs.grad_y) b.grad_y.push_back(grad.data());
  for (auto& buffer : saved) b.saved.push_back(buffer.data());
  if (config.grad_x) b.grad_x = keep("grad_x", b.shape.in_size());
  if (config.grad_weights) b.grad_weights = keep("grad_weights", static_cast<int64_t>(inputs.weights.size()));
  if (config.grad_params) {
    for (const auto& param : inputs.params) {
      b.grad_params.push_back(keep("grad_param", static_cast<int64_t>(param.size())));
    }
  }
  if (config.grad_bn) {
    b.grad_bn_weight = keep("grad_bn_weight", norms);
    b.grad_bn_bias = keep("grad_bn_bias", norms);
  }
  fused::backward(b);
  return result;
}

Result run_fused(const Config& config, const Inputs& inputs) {
  if (!config.channels_last) return run_as_laid_out(config, inputs);
  const Shape shape{config.n, config.c, config.h, config.w, config.stride, config.out_c};
  Inputs swapped = inputs;
  swap_axes(swapped.x, config.n, config.c, shape.in_plane());
  for (auto& grad : swapped.grad_y) swap_axes(grad, config.n, config.out_c, shape.out_plane());
  Result result = run_as_laid_out(config, swapped);
  for (size_t i = 0; i < result.tensors.size(); ++i) {
    if (result.names[i] == "y") swap_axes(result.tensors[i], config.n, shape.out_plane(), config.out_c);
    if (result.names[i] == "grad_x") swap_axes(result.tensors[i], config.n, shape.in_plane(), config.c);
  }
  return result;
}

}  // namespace mixed_case

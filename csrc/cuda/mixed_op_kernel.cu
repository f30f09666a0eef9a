// mixed_edges on CUDA tensors: outputs, workspaces, and the order of the launches. Not yet run on a GPU.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <initializer_list>

#include "../mixed_op.h"
#include "mixed/backward.cuh"

namespace amended_darts {
namespace {

using torch::headeronly::MemoryFormat;
Tensor ready(const Tensor& t) { return torch::stable::contiguous(t); }
std::optional<Tensor> ready(const std::optional<Tensor>& t) {
  return t.has_value() ? std::optional<Tensor>(ready(*t)) : std::nullopt;
}

Tensor empty_activation(const Tensor& x, std::initializer_list<int64_t> size) {
  const MemoryFormat format = is_channels_last(x) ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous;
  return torch::stable::empty(size, x.scalar_type(), std::nullopt, x.device(), std::nullopt, format);
}

// Any strides but those that 32 bits do not hold.
Tensor viewable(const Tensor& t) {
  for (int64_t d = 1; d < 4; ++d)
    if (t.stride(d) > INT32_MAX) return ready(t);
  return t;
}

// torch's own 16-bit types are CUDA's.
template <typename S>
S* data(const Tensor& t) {
  if constexpr (std::is_const_v<S>)
    return static_cast<S*>(t.const_data_ptr());
  else
    return static_cast<S*>(t.mutable_data_ptr());
}

template <typename S, typename Pointer>
mixed::View<S> view(const Tensor& t, Pointer* data) {
  return {data, t.stride(0), static_cast<int32_t>(t.stride(1)), static_cast<int32_t>(t.stride(2)),
          static_cast<int32_t>(t.stride(3))};
}
template <typename S>
mixed::View<const S> input(const Tensor& t) {
  return view<const S>(t, data<const S>(t));
}
template <typename S>
mixed::View<S> output(const Tensor& t) {
  return view<S>(t, data<S>(t));
}

// Arguments of one call, made contiguous where kernels want them so, and kept alive.
template <typename S>
struct Inputs {
  using A = mixed::wide_t<S>;
  Tensor x, weights;
  std::vector<Tensor> params;
  std::optional<Tensor> bn_weight, bn_bias;
  mixed::Operands<S> call;

  Inputs(const MixedEdgesArguments& a, const MixedEdgesSizes& sizes, bool batch_stats)
      : x(viewable(a.x)), weights(ready(a.weights)), bn_weight(ready(a.bn_weight)), bn_bias(ready(a.bn_bias)) {
    for (const Tensor& param : a.params) params.push_back(ready(param));
    call.shape = sizes.shape;
    call.edges = sizes.edges;
    call.candidates = sizes.candidates;
    call.pool_norm = a.pool_norm;
    call.per_sample = sizes.per_sample;
    call.batch_stats = batch_stats;
    call.eps = static_cast<A>(a.eps);
    call.x = input<S>(x);
    call.weights = weights.const_data_ptr<A>();
    for (const Tensor& param : params) call.params.push_back(data<const S>(param));
    if (bn_weight.has_value()) call.bn_weight = bn_weight->const_data_ptr<A>();
    if (bn_bias.has_value()) call.bn_bias = bn_bias->const_data_ptr<A>();
  }

  int64_t edges_at_once(const char* op) const {
    const int64_t edges = mixed::edges_at_once(call);
    check(edges > 0, op, ": candidates must hold at most ", mixed::kMaxConvolutions, " convolutions, got ",
          call.candidates.size(), " candidates");
    return edges;
  }
};

template <typename S>
MixedEdgesResult forward(const MixedEdgesArguments& a, const MixedEdgesSizes& sizes, bool batch_stats, bool allow_tf32,
                         bool recompute) {
  using A = mixed::wide_t<S>;
  const char* op = "mixed_edges";
  const Launcher launch(op, a.x);
  const mixed::Shape& shape = sizes.shape;
  Tensor mean = torch::stable::new_empty(a.weights, {sizes.edges, sizes.norms_per_edge, shape.out_c});
  Tensor var = torch::stable::new_empty(a.weights, {sizes.edges, sizes.norms_per_edge, shape.out_c});
  if (!batch_stats || shape.n == 0) fill_statistics(a, mean, var);
  Inputs<S> in(a, sizes, batch_stats);
  in.call.allow_tf32 = allow_tf32;
  in.call.mean = mean.const_data_ptr<A>();
  in.call.var = var.const_data_ptr<A>();
  std::vector<Tensor> y, saved;
  mixed::Outputs<S> outputs;
  outputs.mean = mean.mutable_data_ptr<A>();
  outputs.var = var.mutable_data_ptr<A>();
  const int64_t kept = recompute ? 0 : mixed::kept_size(in.call);
  for (int64_t e = 0; e < sizes.edges; ++e) {
    y.push_back(empty_activation(a.x, {shape.n, shape.out_c, shape.out_h(), shape.out_w()}));
    outputs.y.push_back(output<S>(y.back()));
    if (recompute) continue;
    saved.push_back(torch::stable::new_empty(a.x, {kept}));
    if (kept > 0) outputs.kept.push_back(data<S>(saved.back()));
  }
  const int64_t at_once = in.edges_at_once(op);
  for (int64_t e = 0; shape.n > 0 && e < sizes.edges; e += at_once) {
    mixed::Workspace workspace(a.x);
    const mixed::Stages<S> stages{launch, workspace, in.call};
    mixed::Plan<S> plan = mixed::make_plan(in.call, e, std::min(sizes.edges, e + at_once));
    mixed::forward(stages, plan, outputs);
  }
  return {std::move(y), std::move(mean), std::move(var), std::move(saved)};
}

template <typename S>
MixedEdgesGradients backward(const MixedEdgesArguments& a, const MixedEdgesSizes& sizes,
                             const std::vector<Tensor>& grad_y, const std::vector<Tensor>& saved, bool batch_stats,
                             bool allow_tf32, const Needs& need) {
  using A = mixed::wide_t<S>;
  const char* op = "_mixed_edges_backward";
  const Launcher launch(op, a.x);
  const mixed::Shape& shape = sizes.shape;
  Inputs<S> in(a, sizes, batch_stats);
  in.call.allow_tf32 = allow_tf32;
  const Tensor mean = ready(*a.mean), var = ready(*a.var);
  in.call.mean = mean.const_data_ptr<A>();
  in.call.var = var.const_data_ptr<A>();

  const Tensor like_x =
      need.x ? empty_activation(a.x, {shape.n, shape.c, shape.h, shape.w}) : torch::stable::new_empty(a.x, {0});
  MixedEdgesGradients gradients =
      make_gradients(like_x, in.weights, in.params, mean, in.bn_weight.has_value(), need, shape.n == 0);
  auto& [grad_x, grad_weights, grad_params, grad_bn_weight, grad_bn_bias] = gradients;

  if (shape.n > 0) {
    std::vector<Tensor> grads;
    mixed::Gradients<S> wanted;
    for (const Tensor& grad : grad_y) {
      grads.push_back(viewable(grad));
      wanted.grad_y.push_back(input<S>(grads.back()));
    }
    const int64_t kept = mixed::kept_size(in.call);
    check(saved.empty() || static_cast<int64_t>(saved.size()) == sizes.edges, op, ": saved must hold ", sizes.edges,
          " tensors or none, got ", saved.size());
    for (const Tensor& each : saved) {
      check(each.scalar_type() == a.x.scalar_type() && each.is_contiguous() && each.numel() == kept, op,
            ": each of saved must be what forward gave, ", kept, " values of x's dtype, got ", each.numel());
      if (kept > 0) wanted.kept.push_back(data<const S>(each));
    }
    if (need.x) wanted.grad_x = output<S>(grad_x);
    if (need.weights) wanted.grad_weights = grad_weights.mutable_data_ptr<A>();
    for (const Tensor& grad : grad_params) wanted.grad_params.push_back(data<S>(grad));
    if (need.norm && in.bn_weight.has_value()) {
      wanted.grad_bn_weight = grad_bn_weight.mutable_data_ptr<A>();
      wanted.grad_bn_bias = grad_bn_bias.mutable_data_ptr<A>();
    }
    const int64_t at_once = in.edges_at_once(op);
    for (int64_t e = 0; e < sizes.edges; e += at_once) {
      mixed::Workspace workspace(a.x);
      const mixed::Stages<S> stages{launch, workspace, in.call};
      mixed::Plan<S> plan = mixed::make_plan(in.call, e, std::min(sizes.edges, e + at_once));
      mixed::BackwardPass<S>(stages, plan, wanted).run();
    }
  }
  return gradients;
}

// Calls body(T{}) for the dtype of x, one of the four that the checks let pass.
template <typename Body>
auto dispatch(const Tensor& x, const Body& body) {
  switch (x.scalar_type()) {
    case ScalarType::Double: return body(double{});
    case ScalarType::BFloat16: return body(__nv_bfloat16{});
    case ScalarType::Half: return body(__half{});
    default: return body(float{});
  }
}

MixedEdgesResult mixed_edges_cuda(const Tensor& x, const Tensor& weights, const std::vector<Tensor>& params,
                                  const std::vector<std::string>& candidates, int64_t stride,
                                  const std::optional<Tensor>& running_mean, const std::optional<Tensor>& running_var,
                                  const std::optional<Tensor>& bn_weight, const std::optional<Tensor>& bn_bias,
                                  double eps, bool pool_norm, bool recompute, bool allow_tf32) {
  const MixedEdgesArguments a{x,           weights,   params,  candidates, stride,   running_mean,
                              running_var, bn_weight, bn_bias, eps,        pool_norm};
  const bool batch_stats = !running_mean.has_value();
  const MixedEdgesSizes sizes = check_mixed_edges(a, "mixed_edges", batch_stats);
  return dispatch(x, [&](auto tag) { return forward<decltype(tag)>(a, sizes, batch_stats, allow_tf32, recompute); });
}

MixedEdgesGradients mixed_edges_backward_cuda(const std::vector<Tensor>& grad_y, const Tensor& x, const Tensor& weights,
                                              const std::vector<Tensor>& params,
                                              const std::vector<std::string>& candidates, int64_t stride,
                                              const Tensor& mean, const Tensor& var,
                                              const std::optional<Tensor>& bn_weight,
                                              const std::optional<Tensor>& bn_bias, const std::vector<Tensor>& saved,
                                              double eps, bool pool_norm, bool batch_stats, bool allow_tf32,
                                              bool need_x, bool need_weights, bool need_params, bool need_norm) {
  const std::optional<Tensor> given_mean(mean), given_var(var);
  const MixedEdgesArguments a{x,         weights,   params,  candidates, stride,   given_mean,
                              given_var, bn_weight, bn_bias, eps,        pool_norm};
  const MixedEdgesSizes sizes = check_mixed_edges(a, "_mixed_edges_backward", batch_stats);
  check_grad_y(grad_y, x, sizes);
  const Needs need{need_x, need_weights, need_params, need_norm};
  return dispatch(
      x, [&](auto tag) { return backward<decltype(tag)>(a, sizes, grad_y, saved, batch_stats, allow_tf32, need); });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(amended_darts, CUDA, m) {
  m.impl("mixed_edges", TORCH_BOX(&mixed_edges_cuda));
  m.impl("_mixed_edges_backward", TORCH_BOX(&mixed_edges_backward_cuda));
}

}  // namespace amended_darts

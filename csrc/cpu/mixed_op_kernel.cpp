// mixed_edges on CPU tensors: makes the arguments contiguous and of one type, allocates, and calls the kernels.
// float32 runs on the fused kernels, 16-bit types too, converted; float64 on the plain ones.
#include <algorithm>

#include "../mixed_op.h"
#include "fused/fused.h"
#include "isa.h"
#include "plain/mixed_edges.h"
#include "workspace.h"

namespace amended_darts {
namespace {

using torch::headeronly::MemoryFormat;

// Contiguous inputs in the kernels' type, kept alive for the call.
struct Inputs {
  Tensor x, weights;
  std::vector<Tensor> params;
  std::optional<Tensor> bn_weight, bn_bias;
};

Tensor ready(const Tensor& t, ScalarType type, MemoryFormat format = MemoryFormat::Contiguous) {
  return torch::stable::contiguous(t.scalar_type() == type ? t : torch::stable::to(t, type), format);
}

std::optional<Tensor> ready(const std::optional<Tensor>& t, ScalarType type) {
  return t.has_value() ? std::optional<Tensor>(ready(*t, type)) : std::nullopt;
}

std::vector<Tensor> ready(const std::vector<Tensor>& list, ScalarType type,
                          MemoryFormat format = MemoryFormat::Contiguous) {
  std::vector<Tensor> result;
  result.reserve(list.size());
  for (const Tensor& t : list) result.push_back(ready(t, type, format));
  return result;
}

template <typename T>
const T* pointer(const std::optional<Tensor>& t) {
  return t.has_value() ? t->const_data_ptr<T>() : nullptr;
}

Tensor empty(const Tensor& like, std::initializer_list<int64_t> size, ScalarType type) {
  return torch::stable::new_empty(like, size, type);
}

// The memory format of x, y and their gradients inside the kernels: x's own in the fused ones.
MemoryFormat inner_format(const Tensor& x, ScalarType type) {
  return type == ScalarType::Float && is_channels_last(x) ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous;
}

Tensor empty_image(std::initializer_list<int64_t> size, ScalarType type, MemoryFormat format) {
  return torch::stable::empty(size, type, std::nullopt, std::nullopt, std::nullopt, format);
}

// The kernels' result in x's dtype and memory format.
Tensor like_x(const Tensor& result, const Tensor& x) {
  const MemoryFormat format = is_channels_last(x) ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous;
  Tensor typed = result.scalar_type() == x.scalar_type() ? result : torch::stable::to(result, x.scalar_type());
  return torch::stable::contiguous(typed, format);
}

template <typename T>
void describe(mixed::Edges<T>& call, const MixedEdgesSizes& sizes, const MixedEdgesArguments& arguments,
              const Inputs& in, bool batch_stats) {
  call.shape = sizes.shape;
  call.edges = sizes.edges;
  call.candidates = sizes.candidates;
  call.channels_last =
      inner_format(arguments.x, accumulate_type(arguments.x.scalar_type())) == MemoryFormat::ChannelsLast;
  call.pool_norm = arguments.pool_norm;
  call.per_sample = sizes.per_sample;
  call.batch_stats = batch_stats;
  call.eps = arguments.eps;
  call.x = in.x.const_data_ptr<T>();
  call.weights = in.weights.const_data_ptr<T>();
  for (const Tensor& param : in.params) call.params.push_back(param.const_data_ptr<T>());
  call.bn_weight = pointer<T>(in.bn_weight);
  call.bn_bias = pointer<T>(in.bn_bias);
}

void run(const mixed::Forward<float>& call) { mixed::fused::forward(call); }
void run(const mixed::Forward<double>& call) { mixed::plain::forward(call); }
void run(const mixed::Backward<float>& call) { mixed::fused::backward(call); }
void run(const mixed::Backward<double>& call) { mixed::plain::backward(call); }

// What recompute=False keeps, one tensor per edge: from the fused kernels alone.
bool keeps(bool recompute, ScalarType type) { return !recompute && type == ScalarType::Float; }

void check_saved(const std::vector<Tensor>& saved, const mixed::Edges<float>& call) {
  const int64_t size = mixed::fused::saved_size(call);
  check(static_cast<int64_t>(saved.size()) == call.edges, "_mixed_edges_backward: saved must hold ", call.edges,
        " tensors or none, got ", saved.size());
  for (const Tensor& each : saved)
    check(each.scalar_type() == ScalarType::Float && each.is_cpu() && each.is_contiguous() && each.numel() == size,
          "_mixed_edges_backward: each of saved must be what forward gave, ", size, " float32 values, got ",
          each.numel());
}
void check_saved(const std::vector<Tensor>& saved, const mixed::Edges<double>&) {
  check(saved.empty(), "_mixed_edges_backward: saved must be empty where x is float64, got ", saved.size(), " tensors");
}

int64_t saved_size(const mixed::Edges<float>& call) { return mixed::fused::saved_size(call); }
int64_t saved_size(const mixed::Edges<double>&) { return 0; }

Inputs prepare(const MixedEdgesArguments& a, ScalarType type) {
  return {ready(a.x, type, inner_format(a.x, type)), ready(a.weights, type), ready(a.params, type),
          ready(a.bn_weight, type), ready(a.bn_bias, type)};
}

template <typename T>
MixedEdgesResult forward(const MixedEdgesArguments& a, const MixedEdgesSizes& sizes, bool batch_stats, bool recompute) {
  const ScalarType type = accumulate_type(a.x.scalar_type());
  const mixed::Shape& shape = sizes.shape;
  Tensor mean = empty(a.weights, {sizes.edges, sizes.norms_per_edge, shape.out_c}, type);
  Tensor var = empty(a.weights, {sizes.edges, sizes.norms_per_edge, shape.out_c}, type);
  std::vector<Tensor> y, saved;
  for (int64_t e = 0; e < sizes.edges; ++e)
    y.push_back(empty_image({shape.n, shape.out_c, shape.out_h(), shape.out_w()}, type, inner_format(a.x, type)));
  if (shape.n == 0) {
    for (int64_t e = 0; keeps(recompute, type) && e < sizes.edges; ++e) saved.push_back(empty(a.x, {0}, type));
    fill_statistics(a, mean, var);
  } else {
    const Inputs in = prepare(a, type);
    const std::optional<Tensor> running_mean = ready(a.mean, type), running_var = ready(a.var, type);
    mixed::Forward<T> call;
    describe(call, sizes, a, in, batch_stats);
    call.running_mean = pointer<T>(running_mean);
    call.running_var = pointer<T>(running_var);
    for (const Tensor& each : y) call.y.push_back(each.mutable_data_ptr<T>());
    call.mean = mean.mutable_data_ptr<T>();
    call.var = var.mutable_data_ptr<T>();
    for (int64_t e = 0; keeps(recompute, type) && e < sizes.edges; ++e)
      saved.push_back(empty(a.x, {saved_size(call)}, type));
    for (const Tensor& each : saved) call.saved.push_back(each.mutable_data_ptr<T>());
    run(call);
  }
  for (Tensor& each : y) each = like_x(each, a.x);
  return {std::move(y), std::move(mean), std::move(var), std::move(saved)};
}

template <typename T>
MixedEdgesGradients backward(const MixedEdgesArguments& a, const MixedEdgesSizes& sizes,
                             const std::vector<Tensor>& grad_y, const std::vector<Tensor>& saved, bool batch_stats,
                             const Needs& need) {
  const ScalarType type = accumulate_type(a.x.scalar_type());
  const Inputs in = prepare(a, type);
  const MemoryFormat format = inner_format(a.x, type);
  const std::vector<Tensor> grads = ready(grad_y, type, format);
  const Tensor mean = ready(*a.mean, type), var = ready(*a.var, type);

  const Tensor like =
      need.x ? empty_image({a.x.size(0), a.x.size(1), a.x.size(2), a.x.size(3)}, type, format) : empty(in.x, {0}, type);
  MixedEdgesGradients gradients =
      make_gradients(like, in.weights, in.params, mean, in.bn_weight.has_value(), need, sizes.shape.n == 0);
  auto& [grad_x, grad_weights, grad_params, grad_bn_weight, grad_bn_bias] = gradients;

  if (sizes.shape.n > 0) {
    mixed::Backward<T> call;
    describe(call, sizes, a, in, batch_stats);
    if (!saved.empty()) check_saved(saved, call);
    for (const Tensor& each : saved) call.saved.push_back(each.const_data_ptr<T>());
    for (const Tensor& grad : grads) call.grad_y.push_back(grad.const_data_ptr<T>());
    call.mean = mean.const_data_ptr<T>();
    call.var = var.const_data_ptr<T>();
    if (need.x) call.grad_x = grad_x.mutable_data_ptr<T>();
    if (need.weights) call.grad_weights = grad_weights.mutable_data_ptr<T>();
    for (const Tensor& grad : grad_params) call.grad_params.push_back(grad.mutable_data_ptr<T>());
    if (need.norm && in.bn_weight.has_value()) {
      call.grad_bn_weight = grad_bn_weight.mutable_data_ptr<T>();
      call.grad_bn_bias = grad_bn_bias.mutable_data_ptr<T>();
    }
    run(call);
  }
  if (need.x) grad_x = like_x(grad_x, a.x);
  if (a.x.scalar_type() != type)
    for (Tensor& grad : grad_params) grad = torch::stable::to(grad, a.x.scalar_type());
  return gradients;
}

MixedEdgesResult mixed_edges_cpu(const Tensor& x, const Tensor& weights, const std::vector<Tensor>& params,
                                 const std::vector<std::string>& candidates, int64_t stride,
                                 const std::optional<Tensor>& running_mean, const std::optional<Tensor>& running_var,
                                 const std::optional<Tensor>& bn_weight, const std::optional<Tensor>& bn_bias,
                                 double eps, bool pool_norm, bool recompute, bool /*allow_tf32*/) {
  const MixedEdgesArguments a{x,           weights,   params,  candidates, stride,   running_mean,
                              running_var, bn_weight, bn_bias, eps,        pool_norm};
  const bool batch_stats = !running_mean.has_value();
  const MixedEdgesSizes sizes = check_mixed_edges(a, "mixed_edges", batch_stats);
  return x.scalar_type() == ScalarType::Double ? forward<double>(a, sizes, batch_stats, recompute)
                                               : forward<float>(a, sizes, batch_stats, recompute);
}

MixedEdgesGradients mixed_edges_backward_cpu(const std::vector<Tensor>& grad_y, const Tensor& x, const Tensor& weights,
                                             const std::vector<Tensor>& params,
                                             const std::vector<std::string>& candidates, int64_t stride,
                                             const Tensor& mean, const Tensor& var,
                                             const std::optional<Tensor>& bn_weight,
                                             const std::optional<Tensor>& bn_bias, const std::vector<Tensor>& saved,
                                             double eps, bool pool_norm, bool batch_stats, bool /*allow_tf32*/,
                                             bool need_x, bool need_weights, bool need_params, bool need_norm) {
  const std::optional<Tensor> given_mean(mean), given_var(var);
  const MixedEdgesArguments a{x,         weights,   params,  candidates, stride,   given_mean,
                              given_var, bn_weight, bn_bias, eps,        pool_norm};
  const MixedEdgesSizes sizes = check_mixed_edges(a, "_mixed_edges_backward", batch_stats);
  check_grad_y(grad_y, x, sizes);
  const Needs need{need_x, need_weights, need_params, need_norm};
  return x.scalar_type() == ScalarType::Double ? backward<double>(a, sizes, grad_y, saved, batch_stats, need)
                                               : backward<float>(a, sizes, grad_y, saved, batch_stats, need);
}

std::string cpu_isa() { return isa_name(current_isa()); }

std::string cpu_isas() {
  std::string names;
  for (const std::string& name : supported_isas()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(amended_darts, m) {
  m.def("release_workspace() -> ()");
  m.def("_workspace_bytes() -> int");
  m.def("_cpu_isa() -> str");
  m.def("_cpu_isas() -> str");
}

// They take no tensor, so no backend's key can find them.
STABLE_TORCH_LIBRARY_IMPL(amended_darts, CompositeExplicitAutograd, m) {
  m.impl("release_workspace", TORCH_BOX(&release_workspace));
  m.impl("_workspace_bytes", TORCH_BOX(&workspace_bytes));
  m.impl("_cpu_isa", TORCH_BOX(&cpu_isa));
  m.impl("_cpu_isas", TORCH_BOX(&cpu_isas));
}

STABLE_TORCH_LIBRARY_IMPL(amended_darts, CPU, m) {
  m.impl("mixed_edges", TORCH_BOX(&mixed_edges_cpu));
  m.impl("_mixed_edges_backward", TORCH_BOX(&mixed_edges_backward_cpu));
}

}  // namespace amended_darts

// Schemas and checks of the operators behind finite differences over all weights of a network at once: the norm of a
// list of tensors, w = origin + step · direction, and the central difference of two lists. (The exact way back is
// torch._foreach_copy_.) What they need besides stands in amended_darts_ext/_perturbation.py.
#include "perturbation.h"

#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <algorithm>
#include <string>

namespace amended_darts::perturbation {
namespace {

std::string shape(const Tensor& t) {
  std::string text = "[";
  for (int64_t d = 0; d < t.dim(); ++d) text += (d ? ", " : "") + std::to_string(t.size(d));
  return text + "]";
}

bool same_shape(const Tensor& a, const Tensor& b) {
  const auto x = a.sizes(), y = b.sizes();
  return std::equal(x.begin(), x.end(), y.begin(), y.end());
}

bool same_kind(const Tensor& a, const Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.device() == b.device();
}

void check_like(const Tensors& list, const char* name, const Tensors& like, const char* like_name, const char* op) {
  check(list.size() == like.size(), op, ": ", name, " must hold ", like.size(), " tensors as ", like_name, ", got ",
        list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    if (!same_shape(list[i], like[i]))  // shapes are put in words only where they are needed: lists have thousands
      check(false, op, ": ", name, "[", i, "] must have the shape of ", like_name, "[", i, "], ", shape(like[i]),
            ", got ", shape(list[i]));
    check(same_kind(list[i], like[i]), op, ": ", name, "[", i, "] must have the dtype and device of ", like_name, "[",
          i, "]");
  }
}

void check_step(const Tensor& step, const Tensors& list, const char* op) {
  check(step.numel() == 1 && same_kind(step, list[0]), op,
        ": step must be one number with the dtype and device of the lists, got shape ", shape(step));
}

}  // namespace

void check_list(const Tensors& list, const char* name, const char* op) {
  check(!list.empty(), op, ": ", name, " must hold at least one tensor, got an empty list");
  for (size_t i = 0; i < list.size(); ++i) {
    const ScalarType type = list[i].scalar_type();
    check(type == ScalarType::Float || type == ScalarType::Double, op, ": ", name, "[", i,
          "] must be float32 or float64, got ", torch::headeronly::toString(type));
    check(same_kind(list[i], list[0]), op, ": ", name, "[", i, "] must have the dtype and device of ", name, "[0]");
  }
}

void check_perturb(const Tensors& weights, const Tensors& origin, const Tensors& direction, const Tensor& step) {
  check_list(weights, "weights", "perturb_");
  check_like(origin, "origin", weights, "weights", "perturb_");
  check_like(direction, "direction", weights, "weights", "perturb_");
  check_step(step, weights, "perturb_");
}

void check_central_difference(const Tensors& plus, const Tensors& minus, const Tensor& step) {
  check_list(plus, "plus", "central_difference");
  check_like(minus, "minus", plus, "plus", "central_difference");
  check_step(step, plus, "central_difference");
}

Tensors contiguous(const Tensors& list) {
  Tensors result;
  result.reserve(list.size());
  for (const Tensor& t : list) result.push_back(t.is_contiguous() ? t : torch::stable::contiguous(t));
  return result;
}

Tensors empty_like(const Tensors& list) {
  Tensors result;
  result.reserve(list.size());
  std::vector<int64_t> strides;
  for (const Tensor& t : list) {
    const auto sizes = t.sizes();
    strides.assign(sizes.size(), 1);
    for (size_t d = sizes.size(); d-- > 1;) strides[d - 1] = strides[d] * std::max<int64_t>(sizes[d], 1);
    int32_t dtype = 0, device = 0;
    AtenTensorHandle handle = nullptr;
    const bool made = aoti_torch_get_dtype(t.get(), &dtype) == 0 && aoti_torch_get_device_type(t.get(), &device) == 0 &&
                      aoti_torch_empty_strided(t.dim(), sizes.data(), strides.data(), dtype, device,
                                               t.get_device_index(), &handle) == 0;
    if (!made) check(false, "cannot allocate a tensor of shape ", shape(t));
    result.emplace_back(handle);
  }
  return result;
}

void write_back(const Tensors& list, const Tensors& written) {
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].is_contiguous()) continue;
    Tensor target = list[i];
    torch::stable::copy_(target, written[i]);
  }
}

STABLE_TORCH_LIBRARY_FRAGMENT(amended_darts, m) {
  // ‖tensors‖₂ over all elements of all tensors, summed in float64.
  m.def("global_norm(Tensor[] tensors) -> Tensor");
  // radius / ‖direction‖₂, 0 for a zero vector.
  m.def("step_size(Tensor[] direction, float radius) -> Tensor");
  // weights = origin + sign · step · direction
  m.def("perturb_(Tensor(a!)[] weights, Tensor[] origin, Tensor[] direction, Tensor step, float sign=1.0) -> ()");
  // (plus - minus) / (2 · step), zeros where step is 0
  m.def("central_difference(Tensor[] plus, Tensor[] minus, Tensor step) -> Tensor[]");
}

}  // namespace amended_darts::perturbation

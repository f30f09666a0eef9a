// Schemas and checks of the operators behind finite differences over all weights of a network at once: the norm of a
// list of tensors, w = origin + step · direction, and the central difference of two lists. (The exact way back is
// torch._foreach_copy_.) What they need besides stands in amended_darts_ext/_perturbation.py.
#include "perturbation.h"

#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <algorithm>

#include "words.h"

namespace amended_darts::perturbation {
namespace {

bool same_shape(const Tensor& a, const Tensor& b) {
  const auto x = a.sizes(), y = b.sizes();
  return std::equal(x.begin(), x.end(), y.begin(), y.end());
}

bool same_kind(const Tensor& a, const Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.device() == b.device();
}

// One tensor in memory, for the search for overlaps.
struct Place {
  uintptr_t begin;
  uintptr_t end;  // of a contiguous tensor; of another, which kernels reach through a copy, one byte past its begin
  size_t index;
};

std::vector<Place> places(const Tensors& list) {
  std::vector<Place> result;
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].numel() == 0) continue;
    const auto begin = reinterpret_cast<uintptr_t>(list[i].data_ptr());
    const uintptr_t bytes = list[i].is_contiguous() ? list[i].numel() * list[i].element_size() : 1;
    result.push_back({begin, begin + bytes, i});
  }
  return result;
}

// Weights that share memory with what they are made from would be read half old, half new, and could not come back.
void check_apart(const Tensors& weights, const Tensors& origin, const Tensors& direction) {
  for (size_t i = 0; i < weights.size(); ++i)
    for (int64_t d = 0; d < weights[i].dim(); ++d)
      check(weights[i].numel() == 0 || weights[i].size(d) < 2 || weights[i].stride(d) != 0, "perturb_: weights[", i,
            "] must have memory of its own for each element, got an expanded tensor of shape ",
            words::Shape{weights[i]});
  std::vector<Place> sorted = places(weights);
  std::sort(sorted.begin(), sorted.end(), [](const Place& a, const Place& b) { return a.begin < b.begin; });
  for (size_t i = 1; i < sorted.size(); ++i)
    check(sorted[i - 1].end <= sorted[i].begin, "perturb_: weights must not share memory with each other, got weights[",
          sorted[i - 1].index, "] and weights[", sorted[i].index, "] that do");
  const auto check_list_apart = [&](const Tensors& list, const char* name) {
    for (const Place& place : places(list)) {
      // The weights lie apart, so their ends are in order as well: the first that ends behind place.begin is the one.
      const auto other = std::upper_bound(sorted.begin(), sorted.end(), place.begin,
                                          [](uintptr_t begin, const Place& weight) { return begin < weight.end; });
      check(other == sorted.end() || place.end <= other->begin, "perturb_: ", name, "[", place.index,
            "] must not share memory with the weights, which are written, got the memory of weights[",
            other == sorted.end() ? 0 : other->index, "]");
    }
  };
  check_list_apart(origin, "origin");
  check_list_apart(direction, "direction");
}

void check_kinds(const Tensors& list, const char* name, const char* op) {
  for (size_t i = 0; i < list.size(); ++i) {
    const ScalarType type = list[i].scalar_type();
    check(type == ScalarType::Float || type == ScalarType::Double, op, ": ", name, "[", i,
          "] must be float32 or float64, got ", words::Kind{list[i]});
    check(same_kind(list[i], list[0]), op, ": ", name, "[", i, "] must have the dtype and device of ", name, "[0], ",
          words::Kind{list[0]}, ", got ", words::Kind{list[i]});
  }
}

void check_like(const Tensors& list, const char* name, const Tensors& like, const char* like_name, const char* op) {
  check(list.size() == like.size(), op, ": ", name, " must hold ", like.size(), " tensors as ", like_name, ", got ",
        list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    check(same_shape(list[i], like[i]), op, ": ", name, "[", i, "] must have the shape of ", like_name, "[", i, "], ",
          words::Shape{like[i]}, ", got ", words::Shape{list[i]});
    check(same_kind(list[i], like[i]), op, ": ", name, "[", i, "] must have the dtype and device of ", like_name, "[",
          i, "], ", words::Kind{like[i]}, ", got ", words::Kind{list[i]});
  }
}

void check_step(const Tensor& step, const Tensors& list, const char* op) {
  check(step.numel() == 1, op, ": step must be one number, got shape ", words::Shape{step});
  if (list.empty()) return;
  check(same_kind(step, list[0]), op, ": step must have the dtype and device of the lists, ", words::Kind{list[0]},
        ", got ", words::Kind{step});
}

}  // namespace

void check_list(const Tensors& list, const char* name, const char* op) {
  check(!list.empty(), op, ": ", name, " must hold at least one tensor, got an empty list");
  check_kinds(list, name, op);
}

void check_perturb(const Tensors& weights, const Tensors& origin, const Tensors& direction, const Tensor& step) {
  check_kinds(weights, "weights", "perturb_");
  check_like(origin, "origin", weights, "weights", "perturb_");
  check_like(direction, "direction", weights, "weights", "perturb_");
  check_step(step, weights, "perturb_");
  check_apart(weights, origin, direction);
}

void check_central_difference(const Tensors& plus, const Tensors& minus, const Tensor& step) {
  check_kinds(plus, "plus", "central_difference");
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
    check(made, "cannot allocate a tensor of shape ", words::Shape{t});
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

// Checks of the perturbation operators, the same on every device.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <vector>

#include "common/check.h"
#include "common/perturbation.h"

namespace amended_darts::perturbation {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using Tensors = std::vector<Tensor>;

// Each raises where an argument of its operator does not fit: lists hold float32 or float64 tensors of one dtype and
// device, lists that belong together match tensor by tensor, step is one number beside them, and weights, which are
// written, share memory with nothing. Lists may be empty where step says which device it is.
void check_list(const Tensors& list, const char* name, const char* op);
void check_perturb(const Tensors& weights, const Tensors& origin, const Tensors& direction, const Tensor& step);
void check_central_difference(const Tensors& plus, const Tensors& minus, const Tensor& step);

// The list with every tensor contiguous.
Tensors contiguous(const Tensors& list);

// New contiguous tensors of the list's shapes. Each is made by a direct call: through the dispatcher, thousands of
// small tensors take longer to make than to fill.
Tensors empty_like(const Tensors& list);

// After kernels wrote into contiguous(list): copies to those tensors that were not contiguous themselves.
void write_back(const Tensors& list, const Tensors& written);

template <typename T, typename Element = T>
List<Element> pointers(const Tensors& list) {
  List<Element> result;
  for (const Tensor& t : list) {
    result.data.push_back(static_cast<Element*>(t.data_ptr()));
    result.sizes.push_back(t.numel());
  }
  return result;
}

// Calls body(float{}) or body(double{}) for the list's dtype.
template <typename Body>
void dispatch(const Tensors& list, const Body& body) {
  if (list[0].scalar_type() == ScalarType::Double)
    body(double{});
  else
    body(float{});
}

}  // namespace amended_darts::perturbation

// Arithmetic of the perturbation operators, the same on host and device, and the flat view of a list of tensors.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "host_device.h"

namespace amended_darts::perturbation {

// w + step · v
template <typename T>
AMENDED_DARTS_HOST_DEVICE inline T perturbed(T origin, T direction, T step) {
  return origin + step * direction;
}

// What central_difference divides by: 2 · step, and infinity for the step 0 of a zero vector, so that finite
// differences become 0 while NaN stays NaN. (A factor 1 / (2 · step) would overflow for the smallest steps.)
template <typename T>
AMENDED_DARTS_HOST_DEVICE inline T width(T step) {
  return step == T(0) ? T(HUGE_VAL) : T(2) * step;
}

// radius / norm, and 0 where the norm is 0. A norm that is not finite gives NaN: radius / infinity would be the step 0
// of a zero vector, and hide that the vector has diverged.
AMENDED_DARTS_HOST_DEVICE inline double step_size(double norm, double radius) {
  const double nan_unless_finite = norm - norm;
  return norm == 0 ? 0.0 : radius / norm + nan_unless_finite;
}

// A list of contiguous tensors, for the kernels.
template <typename T>
struct List {
  std::vector<T*> data;
  std::vector<int64_t> sizes;
};

}  // namespace amended_darts::perturbation

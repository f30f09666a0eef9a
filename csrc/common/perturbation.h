// Arithmetic of the perturbation operators, the same on host and device, and the flat view of a list of tensors.
#pragma once

#include <cstdint>
#include <vector>

#ifdef __CUDACC__
#define AMENDED_DARTS_HOST_DEVICE __host__ __device__
#else
#define AMENDED_DARTS_HOST_DEVICE
#endif

namespace amended_darts::perturbation {

// w + step · v
template <typename T>
AMENDED_DARTS_HOST_DEVICE inline T perturbed(T origin, T direction, T step) {
  return origin + step * direction;
}

// What central_difference multiplies by: 1 / (2 · step), and 0 for the step 0 of a zero vector.
template <typename T>
AMENDED_DARTS_HOST_DEVICE inline T inverse_width(T step) {
  return step == T(0) ? T(0) : T(0.5) / step;
}

// radius / norm, and 0 where the norm is 0. A norm that is not finite passes on: NaN gives NaN.
AMENDED_DARTS_HOST_DEVICE inline double step_size(double norm, double radius) {
  return norm == 0 ? 0.0 : radius / norm;
}

// A list of contiguous tensors, for the kernels.
template <typename T>
struct List {
  std::vector<T*> data;
  std::vector<int64_t> sizes;
};

}  // namespace amended_darts::perturbation

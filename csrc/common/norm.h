// Arithmetic of BatchNorm and of the ReLU before a convolution, one value at a time, the same on host and device. The
// fused CPU kernels have vector forms of their own (cpu/fused/norm.cpp).
#pragma once

#include <cmath>

#include "host_device.h"

namespace amended_darts::mixed {

// relu(v), with NaN left as it is.
template <typename A>
AMENDED_DARTS_HOST_DEVICE inline A relu(A v) {
  return v <= A(0) ? A(0) : v;
}

// The gradient of relu at v: that of a NaN passes, as in PyTorch.
template <typename A>
AMENDED_DARTS_HOST_DEVICE inline A relu_grad(A v, A grad) {
  return v <= A(0) ? A(0) : grad;
}

template <typename A>
AMENDED_DARTS_HOST_DEVICE inline A reciprocal_deviation(A var, A eps) {
  using std::sqrt;
  return A(1) / sqrt(var + eps);
}

// (v - mean) · scale + bias. The difference is taken first: with a large mean, scale · v + bias would cancel.
template <typename A>
struct Affine {
  A mean = A(0), scale = A(1), bias = A(0);
  AMENDED_DARTS_HOST_DEVICE A operator()(A v) const { return (v - mean) * scale + bias; }
};

// What batch statistics take off the gradient of a BN's output, for one channel: its mean, and per unit of z - mean.
template <typename A>
struct Correction {
  A mean = A(0), slope = A(0);

  // From the sums over `count` positions of that gradient, and of the same times the normalised z.
  AMENDED_DARTS_HOST_DEVICE static Correction of(A sum, A dot, A count, A reciprocal_deviation) {
    return {sum / count, dot / count * reciprocal_deviation};
  }
};

// From the gradient of BN(z) to that of z; scale is the BN's weight over the deviation.
template <typename A>
AMENDED_DARTS_HOST_DEVICE inline A norm_grad(A grad, A z, A mean, A scale, const Correction<A>& correction) {
  return scale * (grad - correction.mean - (z - mean) * correction.slope);
}

}  // namespace amended_darts::mixed

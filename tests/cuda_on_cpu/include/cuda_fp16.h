// <cuda_fp16.h> for g++: the type and its conversions.
#pragma once

struct alignas(2) __half {
  _Float16 value;

  __half() = default;
  __half(float v) : value(static_cast<_Float16>(v)) {}
  __half(double v) : value(static_cast<_Float16>(v)) {}
  operator float() const { return static_cast<float>(value); }
};

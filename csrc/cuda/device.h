// The device of an operator's call. device.cpp asks torch; the emulator of tests/cuda_on_cpu, whose tensors lie in the
// CPU's memory, links an implementation of its own.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/stable/tensor.h>

#include <memory>

namespace amended_darts {

// Makes the device of `tensor` the current one for as long as it lives.
class DeviceGuard {
 public:
  explicit DeviceGuard(const torch::stable::Tensor& tensor);

  // torch's current stream on the device.
  cudaStream_t stream() const { return stream_; }

 private:
  std::shared_ptr<void> guard_;
  cudaStream_t stream_ = nullptr;
};

}  // namespace amended_darts

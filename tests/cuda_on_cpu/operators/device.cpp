// csrc/cuda/device.h where tensors lie in the CPU's memory: no device to make current, no stream.
#include "cuda/device.h"

#include "common/check.h"

namespace amended_darts {

DeviceGuard::DeviceGuard(const torch::stable::Tensor& tensor) {
  check(tensor.is_cpu(), "emulated CUDA kernels take CPU tensors");
}

}  // namespace amended_darts

// DeviceGuard by way of torch. Not yet run on a GPU.
#include "device.h"

#include <dlfcn.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>

#include "../common/check.h"

namespace amended_darts {
namespace {

// The function lives in libtorch_cuda, which a CPU build of torch lacks and this library therefore does not link: it is
// looked up in the process.
cudaStream_t current_stream(int32_t device) {
  using Function = AOTITorchError (*)(int32_t, void**);
  static const Function function = [] {
    void* library = dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_NOLOAD);
    return library ? reinterpret_cast<Function>(dlsym(library, "aoti_torch_get_current_cuda_stream")) : nullptr;
  }();
  void* stream = nullptr;
  check(function != nullptr && function(device, &stream) == 0, "no current CUDA stream on device ", device);
  return static_cast<cudaStream_t>(stream);
}

}  // namespace

DeviceGuard::DeviceGuard(const torch::stable::Tensor& tensor)
    : guard_(std::make_shared<torch::stable::accelerator::DeviceGuard>(tensor.get_device_index())),
      stream_(current_stream(tensor.get_device_index())) {}

}  // namespace amended_darts

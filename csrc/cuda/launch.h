// What every launcher needs of torch: the current stream, and errors as sentences.
#pragma once

#include <cuda_runtime.h>
#include <dlfcn.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>

#include "../common/check.h"

namespace amended_darts {

// torch's current stream on the device. The function lives in libtorch_cuda, which a CPU build of torch lacks and this
// library therefore does not link: it is looked up in the process.
inline cudaStream_t current_stream(int32_t device) {
  using Function = AOTITorchError (*)(int32_t, void**);
  static const Function function = [] {
    void* library = dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_NOLOAD);
    return library ? reinterpret_cast<Function>(dlsym(library, "aoti_torch_get_current_cuda_stream")) : nullptr;
  }();
  void* stream = nullptr;
  check(function != nullptr && function(device, &stream) == 0, "no current CUDA stream on device ", device);
  return static_cast<cudaStream_t>(stream);
}

inline void check_launch(const char* op) {
  const cudaError_t error = cudaGetLastError();
  check(error == cudaSuccess, op, ": CUDA error: ", cudaGetErrorString(error));
}

}  // namespace amended_darts

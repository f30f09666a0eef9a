// How every kernel is launched:
//
//   const Launcher launch("perturb_", weights[0]);                    // the operator and a tensor on its device
//   launch(perturb_kernel<T>, grid, block, shared_bytes, arguments...);  // as often as the operator needs
//
// A launcher is built before anything is allocated. It goes to torch's current stream, reads nothing back and waits for
// nothing, so that calls can be captured in a CUDA graph.
//
// The same sources run on the CPU, compiled by g++ against the cuda_runtime.h of tests/cuda_on_cpu, which says what it
// has of CUDA. For that to hold, kernels and launchers
//   - include <cuda_runtime.h> and launch by way of this header: no <<< >>>, no other call of CUDA's runtime;
//   - take shared memory by the macros of shared_memory.h;
//   - take structs as `const T __grid_constant__ name`, in this order of words;
//   - have no __device__ or __constant__ variables and no atomics on floating-point numbers;
//   - name every lane of the warp, or those that take part, in the mask of a warp operation, and let all threads of a
//     block reach every __syncthreads().
// Global memory is read and written by plain loads and stores: the emulator counts them, and checks their bounds.
#pragma once

#include <cuda_runtime.h>

#include <utility>

#include "../common/check.h"
#include "device.h"

namespace amended_darts {

// The launches of one call of an operator.
class Launcher {
 public:
  Launcher(const char* op, const torch::stable::Tensor& tensor) : op_(op), device_(tensor) {}

  // shared_bytes: of dynamic shared memory, up to what the device has.
  template <typename... Parameters, typename... Arguments>
  void operator()(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                  Arguments&&... arguments) const {
    constexpr size_t kWithoutAsking = 48 * 1024;
    if (shared_bytes > kWithoutAsking)
      check_cuda(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                      cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)));
    const cudaLaunchConfig_t config{grid, block, shared_bytes, device_.stream(), nullptr, 0};
    check_cuda(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...));
  }

 private:
  void check_cuda(cudaError_t error) const {
    if (error == cudaSuccess) return;
    cudaGetLastError();  // or the next launch would report this error again
    check(false, op_, ": CUDA error: ", cudaGetErrorString(error));
  }

  const char* op_;
  DeviceGuard device_;
};

}  // namespace amended_darts

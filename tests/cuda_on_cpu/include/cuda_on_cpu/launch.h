// The part of CUDA's runtime that csrc/cuda/launch.h uses.
#pragma once

#include <cstddef>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "types.h"

using cudaStream_t = struct CUstream_st*;

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorLaunchFailure = 719,
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };

// The first two are CUDA's gridDim and blockDim, which are macros here.
struct cudaLaunchConfig_t {
  dim3 grid, block;
  size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
  const void* attributes = nullptr;
  unsigned attribute_count = 0;
};

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value);
cudaError_t cudaGetLastError();
const char* cudaGetErrorString(cudaError_t error);  // of the last launch: what was wrong with it

namespace cuda_on_cpu {

// Runs `thread` for each thread of each block. An error leaves the memory as the threads that ran have left it.
cudaError_t run(const void* kernel, const cudaLaunchConfig_t& config, const std::function<void()>& thread);

}  // namespace cuda_on_cpu

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  const std::tuple<std::remove_cvref_t<Parameters>...> converted(std::forward<Arguments>(arguments)...);
  return cuda_on_cpu::run(reinterpret_cast<const void*>(kernel), *config, [&] { std::apply(kernel, converted); });
}

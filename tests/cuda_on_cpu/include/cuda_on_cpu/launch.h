// The part of CUDA's runtime that csrc/cuda/launch.h uses.
#pragma once

#include <cstddef>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

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

// The bytes of a kernel's arguments, one after the other; padding holds what it happens to.
using Arguments = std::vector<unsigned char>;
// Whether launches are recorded with theirs.
bool keeps_arguments();

template <typename T>
void append(Arguments& bytes, const T& argument) {
  static_assert(std::is_trivially_copyable_v<T>, "CUDA copies arguments byte by byte");
  bytes.resize(bytes.size() + sizeof(T));
  std::memcpy(bytes.data() + bytes.size() - sizeof(T), &argument, sizeof(T));
}

// Runs `thread` for each thread of each block. An error leaves the memory as the threads that ran have left it.
cudaError_t run(const void* kernel, const cudaLaunchConfig_t& config, Arguments arguments,
                const std::function<void()>& thread);

}  // namespace cuda_on_cpu

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  const std::tuple<std::remove_cvref_t<Parameters>...> converted(std::forward<Arguments>(arguments)...);
  cuda_on_cpu::Arguments bytes;
  if (cuda_on_cpu::keeps_arguments())
    std::apply([&](const auto&... each) { (cuda_on_cpu::append(bytes, each), ...); }, converted);
  return cuda_on_cpu::run(reinterpret_cast<const void*>(kernel), *config, std::move(bytes),
                          [&] { std::apply(kernel, converted); });
}

// What a kernel asks of the machine: its indices, barriers, warp operations, shared memory, atomics.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "types.h"

namespace cuda_on_cpu {

struct Context {
  uint3 thread, block;
  dim3 block_size, grid_size;
  int lane, warp;
};

// Of the running CUDA thread: always the same one in one run of a kernel, so that the compiler may ask once.
[[gnu::const]] const Context& self();

void sync_block(const char* file, int line);
void sync_warp(unsigned mask);
// Each lane of the mask gives `in` and gets that of lane `source`, at most 16 bytes.
void exchange(unsigned mask, const void* in, void* out, size_t bytes, int source, const char* what);
unsigned vote(unsigned mask, bool predicate, const char* what);  // a bit for each lane of the mask

void* shared_variable(const void* key, size_t bytes, size_t alignment);
void* dynamic_shared();

template <typename T>
inline T shuffle(unsigned mask, T value, int source, const char* what) {
  static_assert(std::is_arithmetic_v<T>, "shuffles take numbers");
  T result;
  exchange(mask, &value, &result, sizeof(T), source, what);
  return result;
}

}  // namespace cuda_on_cpu

#define threadIdx (::cuda_on_cpu::self().thread)
#define blockIdx (::cuda_on_cpu::self().block)
#define blockDim (::cuda_on_cpu::self().block_size)
#define gridDim (::cuda_on_cpu::self().grid_size)
inline constexpr int warpSize = 32;

#define CU_SHARED(T, name, dims)                         \
  static const char name##_key_ = 0;                     \
  using name##_type_ = T dims;                           \
  name##_type_& name = *reinterpret_cast<name##_type_*>( \
      ::cuda_on_cpu::shared_variable(&name##_key_, sizeof(name##_type_), alignof(name##_type_)))
#define CU_DYNAMIC_SHARED(T, name) T* const name = static_cast<T*>(::cuda_on_cpu::dynamic_shared())

#define __syncthreads() ::cuda_on_cpu::sync_block(__FILE__, __LINE__)
inline void __syncwarp(unsigned mask = 0xffffffffu) { ::cuda_on_cpu::sync_warp(mask); }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// `width`: the warp as groups of so many lanes, a power of two. A source outside of the group is the lane itself.
template <typename T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const int lane = ::cuda_on_cpu::self().lane;
  return ::cuda_on_cpu::shuffle(mask, value, (lane & ~(width - 1)) | (source & (width - 1)), "__shfl_sync");
}
template <typename T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = ::cuda_on_cpu::self().lane, distance = static_cast<int>(delta);
  return ::cuda_on_cpu::shuffle(mask, value, (lane & (width - 1)) < distance ? lane : lane - distance,
                                "__shfl_up_sync");
}
template <typename T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = ::cuda_on_cpu::self().lane, distance = static_cast<int>(delta);
  return ::cuda_on_cpu::shuffle(mask, value, (lane & (width - 1)) + distance >= width ? lane : lane + distance,
                                "__shfl_down_sync");
}
template <typename T>
inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  const int lane = ::cuda_on_cpu::self().lane, source = lane ^ lanes;
  return ::cuda_on_cpu::shuffle(mask, value, source > (lane | (width - 1)) ? lane : source, "__shfl_xor_sync");
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return ::cuda_on_cpu::vote(mask, predicate != 0, "__ballot_sync");
}
inline int __any_sync(unsigned mask, int predicate) {
  return ::cuda_on_cpu::vote(mask, predicate != 0, "__any_sync") != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
  return ::cuda_on_cpu::vote(mask, predicate != 0, "__all_sync") == mask;
}

namespace cuda_on_cpu {
template <typename T>
concept Integer = std::is_same_v<T, int> || std::is_same_v<T, unsigned> || std::is_same_v<T, unsigned long long>;
}  // namespace cuda_on_cpu

template <cuda_on_cpu::Integer T>
inline T atomicAdd(T* p, std::type_identity_t<T> value) {
  return __atomic_fetch_add(p, value, __ATOMIC_RELAXED);
}
template <cuda_on_cpu::Integer T>
inline T atomicOr(T* p, std::type_identity_t<T> value) {
  return __atomic_fetch_or(p, value, __ATOMIC_RELAXED);
}
template <cuda_on_cpu::Integer T>
inline T atomicExch(T* p, std::type_identity_t<T> value) {
  return __atomic_exchange_n(p, value, __ATOMIC_RELAXED);
}
template <cuda_on_cpu::Integer T>
inline T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  __atomic_compare_exchange_n(p, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}

// Shared memory by way of macros: the emulator of tests/cuda_on_cpu defines its own before it includes the kernels, so
// that each block gets fresh memory, filled with NaN and guarded at its ends. `__shared__` itself does not compile
// there.
//
//   CU_SHARED(float, tile, [kRows][kColumns]);   a variable of the block: float tile[kRows][kColumns]
//   CU_SHARED(int, count, );                     one number
//   CU_DYNAMIC_SHARED(float, buffer);            float* buffer: the bytes that the launch asks for, aligned to 128
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#ifndef CU_SHARED
#define CU_SHARED(T, name, dims) __shared__ T name dims
#endif

#ifndef CU_DYNAMIC_SHARED
// The array has one name and one type in all kernels: extern declarations of two types would clash.
#define CU_DYNAMIC_SHARED(T, name)                              \
  extern __shared__ __align__(128) unsigned char cu_dynamic_[]; \
  T* const name = reinterpret_cast<T*>(cu_dynamic_)
#endif

namespace amended_darts {

// Divides dynamic shared memory; the same steps on the host tell how much of it there must be.
struct SharedMemory {
  unsigned char* next = nullptr;
  size_t used = 0;

  template <typename T>
  __host__ __device__ T* take(int count) {
    T* const taken = reinterpret_cast<T*>(next + used);
    used += (count * sizeof(T) + 127) / 128 * 128;
    return taken;
  }
};

// Bytes of a block whose shared memory is divided by the constructor of Parts.
template <typename Parts>
size_t shared_bytes(int patch_size) {
  SharedMemory memory;
  Parts(memory, patch_size);
  return memory.used;
}

}  // namespace amended_darts

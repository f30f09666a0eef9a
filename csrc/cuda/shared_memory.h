// Shared memory by way of macros: the emulator of tests/cuda_on_cpu defines its own before it includes the kernels, so
// that each block gets fresh memory, filled with NaN and guarded at its ends. `__shared__` itself does not compile
// there.
//
//   CU_SHARED(float, tile, [kRows][kColumns]);   a variable of the block: float tile[kRows][kColumns]
//   CU_SHARED(int, count, );                     one number
//   CU_DYNAMIC_SHARED(float, buffer);            float* buffer: the bytes that the launch asks for, aligned to 128
#pragma once

#ifndef CU_SHARED
#define CU_SHARED(T, name, dims) __shared__ T name dims
#endif

#ifndef CU_DYNAMIC_SHARED
// The array has one name and one type in all kernels: extern declarations of two types would clash.
#define CU_DYNAMIC_SHARED(T, name)                              \
  extern __shared__ __align__(128) unsigned char cu_dynamic_[]; \
  T* const name = reinterpret_cast<T*>(cu_dynamic_)
#endif

// The sanitizers' functions for programs that switch stacks. Weak: null where no sanitizer is in the process.
//
// The emulator itself is never compiled with sanitizers: its own stores are none of theirs.
#pragma once

#include <cstddef>

extern "C" {
void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, size_t size) __attribute__((weak));
void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom, size_t* size) __attribute__((weak));
void __asan_unpoison_memory_region(const volatile void* address, size_t size) __attribute__((weak));
void* __tsan_get_current_fiber() __attribute__((weak));
void* __tsan_create_fiber(unsigned flags) __attribute__((weak));
void __tsan_destroy_fiber(void* fiber) __attribute__((weak));
void __tsan_switch_to_fiber(void* fiber, unsigned flags) __attribute__((weak));
void __tsan_acquire(void* address) __attribute__((weak));
void __tsan_release(void* address) __attribute__((weak));
}

namespace cuda_on_cpu {

inline bool under_tsan() { return __tsan_switch_to_fiber != nullptr; }

// What was done before release(address) happens before what is done after acquire(address).
inline void acquire(void* address) {
  if (__tsan_acquire) __tsan_acquire(address);
}
inline void release(void* address) {
  if (__tsan_release) __tsan_release(address);
}

// Copies by instructions alone, where memcpy would be the sanitizer's.
inline void copy_unseen(void* to, const void* from, size_t bytes) {
  auto* a = static_cast<volatile unsigned char*>(to);
  auto* b = static_cast<const volatile unsigned char*>(from);
  while (bytes-- > 0) *a++ = *b++;
}

}  // namespace cuda_on_cpu

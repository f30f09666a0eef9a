// What a compiler calls with -fsanitize=thread in place of atomic instructions, for counting.cpp: those instructions.
// Kernels have few of them; they are not counted.
#include <cstdint>

#define ATOMIC_CALLS(bits)                                                                                \
  uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t* p, int) {                      \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                          \
  }                                                                                                       \
  void __tsan_atomic##bits##_store(volatile uint##bits##_t* p, uint##bits##_t v, int) {                   \
    __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                             \
  }                                                                                                       \
  uint##bits##_t __tsan_atomic##bits##_exchange(volatile uint##bits##_t* p, uint##bits##_t v, int) {      \
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                                   \
  }                                                                                                       \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile uint##bits##_t* p, uint##bits##_t* expected, \
                                                    uint##bits##_t v, int, int) {                         \
    return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
  }                                                                                                       \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile uint##bits##_t* p, uint##bits##_t* expected,   \
                                                  uint##bits##_t v, int, int) {                           \
    return __atomic_compare_exchange_n(p, expected, v, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);         \
  }                                                                                                       \
  ATOMIC_FETCH(bits, add) ATOMIC_FETCH(bits, sub) ATOMIC_FETCH(bits, and) ATOMIC_FETCH(bits, or) ATOMIC_FETCH(bits, xor)
#define ATOMIC_FETCH(bits, op)                                                                         \
  uint##bits##_t __tsan_atomic##bits##_fetch_##op(volatile uint##bits##_t* p, uint##bits##_t v, int) { \
    return __atomic_fetch_##op(p, v, __ATOMIC_SEQ_CST);                                                \
  }

extern "C" {
ATOMIC_CALLS(8)
ATOMIC_CALLS(16)
ATOMIC_CALLS(32)
ATOMIC_CALLS(64)
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) {}
}

// Fibers: stacks that one thread of the operating system switches between, known to the sanitizers.
#pragma once

#include <cstddef>

namespace cuda_on_cpu {

// What kernels take of it is small: structs of arguments stay where they are.
inline constexpr size_t kStackBytes = 64 * 1024;

struct Fiber {
  char* stack = nullptr;  // its lowest byte
  void* stack_pointer = nullptr;
  void* tsan = nullptr;
  void* fake_stack = nullptr;  // ASan's
};

// The stacks of all fibers of a block, each with a guard page below; they are kept from one launch to the next.
class Stacks {
 public:
  // Stacks of untouched memory where `fresh`, otherwise those of the last call as they are.
  void reserve(size_t count, bool fresh);
  char* operator[](size_t i) const { return begin_ + i * kStackBytes; }
  bool contains(const void* p) const { return p >= begin_ && p < begin_ + bytes_; }
  // After an error: fibers have been left where they were, and a sanitizer still knows their frames.
  void discard();

 private:
  char* begin_ = nullptr;
  size_t bytes_ = 0;
};

// To be called by the scheduler, on the thread's own stack, before it enters fibers.
void remember_scheduler();
void* scheduler_tsan();

// From the scheduler into a fiber: `start` runs entry(), which must end with leave(); returns after a leave().
void start(Fiber& fiber, size_t reserved,
           void (*entry)());  // `reserved` bytes at the top of its stack stay as they are
void resume(Fiber& fiber);

// From the running fiber back to the scheduler; returns when it is resumed.
void leave(Fiber& fiber, bool for_good);

}  // namespace cuda_on_cpu

// One block of a launch: its threads, barriers, warp operations and shared memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda_on_cpu/builtins.h"
#include "cuda_on_cpu/emulator.h"
#include "fiber.h"

namespace cuda_on_cpu {

// What a kernel did wrong, as a sentence.
struct KernelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A variable of shared memory in the running block. Under a sanitizer each is an allocation of its own, so that what
// lies behind it is guarded.
struct SharedVariable {
  const void* key;  // null: the dynamic one
  char* begin;
  size_t bytes;
};

// Runs blocks, one at a time.
class Blocks {
 public:
  // One launch: `thread` for each thread of blocks of this size.
  void begin(const std::function<void()>& thread, dim3 grid, dim3 block, size_t dynamic_shared);
  void run(uint3 block, std::mt19937_64& random);  // raises KernelError
  void end();
  void abandon();  // in place of end() after an error

  bool running() const { return current_ >= 0; }
  bool is_stack(const void* p) const { return stacks_.contains(p); }
  bool is_shared(const void* p) const;
  size_t static_shared() const { return static_shared_; }

  // What the running thread asks for.
  const Context& self() const { return *threads_[current_].context; }
  void sync_block(const char* file, int line);
  void exchange(unsigned mask, const void* in, void* out, size_t bytes, int source, bool orders_memory,
                const char* what);
  unsigned vote(unsigned mask, bool predicate, const char* what);
  char* shared_variable(const void* key, size_t bytes, size_t alignment);

 private:
  enum class State : uint8_t { fresh, ready, at_barrier, in_warp, done };

  struct Thread {
    State state = State::fresh;
    Fiber fiber;
    Context* context = nullptr;  // at the top of the fiber's stack, where it is none of the kernel's global memory
    // where it waits: the barrier's file and line, or the warp operation
    const char* where = nullptr;
    int line = 0;
    unsigned mask = 0;
    // of a warp operation
    int source = 0;
    size_t bytes = 0;
    bool orders_memory = false;
    bool predicate = false;
    unsigned votes = 0;
    unsigned char in[16], out[16];
  };

  static void entry();
  void prepare(uint3 block);
  void step(int t);
  void wait(State state);
  void wait_in_warp(Thread& thread, unsigned mask, bool orders_memory, const char* what);
  void complete_warp_operation(const Thread& last);
  void release_barrier(int live);
  void explain_deadlock();
  [[noreturn]] void fail(const Thread& thread, const std::string& what) const;
  char* allocate(const void* key, size_t bytes, size_t alignment);
  void free_shared();

  Stacks stacks_;
  std::vector<Thread> threads_;
  std::vector<unsigned> waiting_lanes_;  // of each warp, those in a warp operation
  std::vector<SharedVariable> shared_;
  std::vector<char*> garbage_;
  std::vector<void*> old_fibers_;
  std::vector<char> barriers_;  // addresses that stand for the barriers of a block and its warps, for TSan
  const std::function<void()>* body_ = nullptr;
  dim3 grid_, size_;
  size_t dynamic_shared_ = 0, static_shared_ = 0;
  static constexpr size_t kBarriers = 34;  // of a block: one for each warp, two of its own
  size_t barrier_ = 0;                     // of the running block in barriers_
  unsigned generation_ = 0;                // barriers passed
  int count_ = 0;                          // threads of a block
  int current_ = -1;
  std::string error_;                           // of the running thread
  char starts_ = 0, ends_ = 0, allocates_ = 0;  // addresses for TSan
};

Blocks& blocks();

}  // namespace cuda_on_cpu

#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#include "sanitizers.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace cuda_on_cpu {
namespace {

struct Scheduler {
  void* stack_pointer = nullptr;
  void* tsan = nullptr;
  void* fake_stack = nullptr;
  const void* bottom = nullptr;
  size_t size = 0;
} scheduler;
void (*first_function)();

}  // namespace

void Stacks::reserve(size_t count, bool fresh) {
  constexpr size_t kGuard = 4096;
  const size_t bytes = count * kStackBytes;
  if (bytes_ >= bytes && !fresh) return;
  discard();
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  begin_ = static_cast<char*>(memory);
  bytes_ = bytes;
  for (size_t i = 0; i < count && !fresh; ++i) mprotect((*this)[i], kGuard, PROT_NONE);
}

void Stacks::discard() {
  if (begin_ == nullptr) return;
  if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(begin_, bytes_);
  munmap(begin_, bytes_);
  begin_ = nullptr;
  bytes_ = 0;
}

void remember_scheduler() {
  if (under_tsan()) scheduler.tsan = __tsan_get_current_fiber();
}

void* scheduler_tsan() { return scheduler.tsan; }

// cuda_on_cpu_switch(from, to): saves the registers that a function must keep on the stack, the stack in *from, and
// goes on with those of `to`.
#if defined(__x86_64__)
extern "C" void cuda_on_cpu_switch(void** from, void* to);
__asm__(R"(
.pushsection .text
.hidden cuda_on_cpu_switch
.globl cuda_on_cpu_switch
.type cuda_on_cpu_switch,@function
cuda_on_cpu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cuda_on_cpu_switch,.-cuda_on_cpu_switch
.popsection
)");

static void prepare(Fiber& fiber, size_t reserved, void (*entry)()) {
  const uintptr_t top = reinterpret_cast<uintptr_t>(fiber.stack + kStackBytes - reserved) & ~uintptr_t{15};
  void** p = reinterpret_cast<void**>(top);
  *--p = nullptr;  // entry() finds no return address, and the alignment that a call leaves
  *--p = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--p = nullptr;
  fiber.stack_pointer = p;
}
#else
static void cuda_on_cpu_switch(void** from, void* to) {
  ucontext_t here;  // on the stack that is left
  *from = &here;
  swapcontext(&here, static_cast<ucontext_t*>(to));
}

static void prepare(Fiber& fiber, size_t reserved, void (*entry)()) {
  ucontext_t* context = reinterpret_cast<ucontext_t*>(fiber.stack + 4096);
  getcontext(context);
  const size_t used = 4096 + sizeof(ucontext_t);
  context->uc_stack = {fiber.stack + used, 0, kStackBytes - used - reserved};
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  fiber.stack_pointer = context;
}
#endif

static void enter(Fiber& fiber) {
  if (__sanitizer_start_switch_fiber) __sanitizer_start_switch_fiber(&scheduler.fake_stack, fiber.stack, kStackBytes);
  if (under_tsan()) __tsan_switch_to_fiber(fiber.tsan, 1);  // 1: the switch orders nothing
  cuda_on_cpu_switch(&scheduler.stack_pointer, fiber.stack_pointer);
  if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(scheduler.fake_stack, nullptr, nullptr);
}

static void begin() {
  if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(nullptr, &scheduler.bottom, &scheduler.size);
  first_function();
  abort();
}

void start(Fiber& fiber, size_t reserved, void (*entry)()) {
  first_function = entry;
  prepare(fiber, reserved, &begin);
  enter(fiber);
}

void resume(Fiber& fiber) { enter(fiber); }

void leave(Fiber& fiber, bool for_good) {
  if (__sanitizer_start_switch_fiber)
    __sanitizer_start_switch_fiber(for_good ? nullptr : &fiber.fake_stack, scheduler.bottom, scheduler.size);
  if (under_tsan()) __tsan_switch_to_fiber(scheduler.tsan, 1);
  cuda_on_cpu_switch(&fiber.stack_pointer, scheduler.stack_pointer);
  if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(fiber.fake_stack, nullptr, nullptr);
}

}  // namespace cuda_on_cpu

// The functions that a compiler calls with -fsanitize=thread at each load and store: here they count those of global
// memory, which is all that is neither a fiber's stack nor shared memory. What the compiler keeps in registers, and
// what it loads once where the source says it twice, is not counted, as on the device.
#include "counting.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "block.h"

namespace cuda_on_cpu {
namespace {

constexpr uintptr_t kPage = 4096;

// One bit for each byte of a page.
struct Touched {
  std::array<uint64_t, kPage / 64> loaded{}, stored{};
};

// Where the launching thread keeps the kernel's arguments until each fiber has copied them.
struct Range {
  uintptr_t begin = 0, end = 0;
};

Range stack_of_this_thread() {
  pthread_attr_t attributes;
  void* begin = nullptr;
  size_t bytes = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    pthread_attr_getstack(&attributes, &begin, &bytes);
    pthread_attr_destroy(&attributes);
  }
  return {reinterpret_cast<uintptr_t>(begin), reinterpret_cast<uintptr_t>(begin) + bytes};
}

bool counting = false;  // before a launch, the compiler's calls come from anywhere
Traffic traffic;
Range host_stack;
std::unordered_map<uintptr_t, std::unique_ptr<Touched>> pages;
uintptr_t last_number = 0;
Touched* last_page = nullptr;

Touched& page_of(uintptr_t number) {
  if (last_page != nullptr && number == last_number) return *last_page;
  std::unique_ptr<Touched>& page = pages[number];
  if (page == nullptr) page = std::make_unique<Touched>();
  last_number = number;
  last_page = page.get();
  return *page;
}

// Marks the bytes; returns how many had not been marked before.
uint64_t mark(uintptr_t address, size_t bytes, bool store) {
  uint64_t fresh = 0;
  while (bytes > 0) {
    Touched& page = page_of(address / kPage);
    auto& words = store ? page.stored : page.loaded;
    const size_t at = address % kPage, bit = at % 64, here = std::min<size_t>(bytes, 64 - bit);
    const uint64_t mask = (here == 64 ? ~uint64_t{0} : (uint64_t{1} << here) - 1) << bit;
    fresh += std::popcount(mask & ~words[at / 64]);
    words[at / 64] |= mask;
    address += here;
    bytes -= here;
  }
  return fresh;
}

void count(const void* p, size_t bytes, bool store) {
  if (!counting) return;
  const Blocks& all = blocks();
  const auto address = reinterpret_cast<uintptr_t>(p);
  if (!all.running() || all.is_stack(p) || all.is_shared(p)) return;
  if (address >= host_stack.begin && address < host_stack.end) return;
  const uint64_t fresh = mark(address, bytes, store);
  (store ? traffic.stored : traffic.loaded) += bytes;
  (store ? traffic.unique_stored : traffic.unique_loaded) += fresh;
}

}  // namespace

void start_counting() {
  traffic = {};
  pages.clear();
  last_page = nullptr;
  thread_local const Range stack = stack_of_this_thread();  // asked once: it takes longer than a small launch
  host_stack = stack;
  counting = true;
}

Traffic counted() {
  counting = false;
  return traffic;
}

}  // namespace cuda_on_cpu

#define COUNT_SIZE(n)                                                         \
  void __tsan_read##n(void* p) { cuda_on_cpu::count(p, n, false); }           \
  void __tsan_write##n(void* p) { cuda_on_cpu::count(p, n, true); }           \
  void __tsan_unaligned_read##n(void* p) { cuda_on_cpu::count(p, n, false); } \
  void __tsan_unaligned_write##n(void* p) { cuda_on_cpu::count(p, n, true); } \
  void __tsan_volatile_read##n(void* p) { cuda_on_cpu::count(p, n, false); }  \
  void __tsan_volatile_write##n(void* p) { cuda_on_cpu::count(p, n, true); }

extern "C" {
COUNT_SIZE(1)
COUNT_SIZE(2)
COUNT_SIZE(4)
COUNT_SIZE(8)
COUNT_SIZE(16)
void __tsan_read_range(void* p, size_t bytes) { cuda_on_cpu::count(p, bytes, false); }
void __tsan_write_range(void* p, size_t bytes) { cuda_on_cpu::count(p, bytes, true); }
void __tsan_init() {}  // what the compiler calls besides, and nobody counts
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}

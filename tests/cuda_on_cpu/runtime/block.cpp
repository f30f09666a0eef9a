#include "block.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <numeric>
#include <sstream>
#include <utility>

#include "sanitizers.h"

namespace cuda_on_cpu {

namespace {

Blocks all_blocks;

// At the top of a fiber's stack, for its context: the tops of all stacks at the same place of a page would share few
// lines of the caches.
size_t reserved(int t) { return sizeof(Context) + static_cast<size_t>(t) * 448 % 16384; }

}  // namespace

Blocks& blocks() { return all_blocks; }

void Blocks::begin(const std::function<void()>& thread, dim3 grid, dim3 block, size_t dynamic_shared) {
  body_ = &thread;
  grid_ = grid;
  size_ = block;
  dynamic_shared_ = dynamic_shared;
  count_ = static_cast<int>(block.x * block.y * block.z);
  threads_.resize(std::max<size_t>(threads_.size(), count_));
  waiting_lanes_.assign((count_ + 31) / 32, 0);
  shared_.reserve(64);  // not in a fiber, where TSan would see it
  barriers_.assign(size_t{grid.x} * grid.y * grid.z * kBarriers, 0);
  barrier_ = 0;
  remember_scheduler();
  release(&starts_);
}

void Blocks::end() {
  acquire(&ends_);
  for (char* p : garbage_) free(p);
  garbage_.clear();
  current_ = -1;
}

void Blocks::abandon() {
  free_shared();
  stacks_.discard();
  for (Thread& thread : threads_) {
    thread.state = State::fresh;
    thread.fiber = {};
  }
  end();
}

// Between blocks that race with each other TSan must see no order: neither by their fibers nor by their memory.
void Blocks::prepare(uint3 block) {
  const bool fresh = under_tsan() && options().between_blocks;
  static_shared_ = 0;
  stacks_.reserve(count_, fresh);
  for (int t = 0; t < count_; ++t) {
    Thread& thread = threads_[t];
    thread.fiber.stack = stacks_[t];
    if (under_tsan() && (fresh || thread.fiber.tsan == nullptr)) {
      if (thread.fiber.tsan != nullptr) old_fibers_.push_back(thread.fiber.tsan);
      thread.fiber.tsan = __tsan_create_fiber(0);
    }
    thread.state = State::fresh;
    thread.context = reinterpret_cast<Context*>(stacks_[t] + kStackBytes - reserved(t));
    const unsigned u = t;
    const Context context{
        {u % size_.x, u / size_.x % size_.y, u / (size_.x * size_.y)}, block, size_, grid_, t % 32, t / 32};
    copy_unseen(thread.context, &context, sizeof(Context));
  }
  while (old_fibers_.size() > 4000) {  // libtsan holds 8128 at most
    __tsan_destroy_fiber(old_fibers_.front());
    old_fibers_.erase(old_fibers_.begin());
  }
  if (dynamic_shared_ > 0) allocate(nullptr, dynamic_shared_, 128);
}

void Blocks::run(uint3 block, std::mt19937_64& random) {
  prepare(block);
  std::vector<int> order(count_);
  std::iota(order.begin(), order.end(), 0);
  if (options().order == Order::reverse) std::reverse(order.begin(), order.end());
  int live = count_;
  while (live > 0) {
    if (options().order == Order::random) std::shuffle(order.begin(), order.end(), random);
    bool progress = false;
    for (const int t : order) {
      const State state = threads_[t].state;
      if (state != State::fresh && state != State::ready) continue;
      step(t);
      progress = true;
      if (threads_[t].state == State::done) --live;
      if (threads_[t].state == State::in_warp) complete_warp_operation(threads_[t]);
    }
    if (live > 0 && !progress) release_barrier(live);
  }
  if (!options().between_blocks) {  // block after block
    acquire(&ends_);
    release(&starts_);
  }
  free_shared();
  barrier_ += kBarriers;
}

void Blocks::step(int t) {
  Thread& thread = threads_[t];
  const bool fresh = thread.state == State::fresh;
  thread.state = State::ready;
  current_ = t;
  if (fresh)
    start(thread.fiber, reserved(t), &entry);
  else
    resume(thread.fiber);
  current_ = -1;
  if (!error_.empty()) fail(thread, std::exchange(error_, {}));
}

void Blocks::entry() {
  Blocks& self = blocks();
  acquire(&self.starts_);
  (*self.body_)();
  release(&self.ends_);
  self.threads_[self.current_].state = State::done;
  leave(self.threads_[self.current_].fiber, true);
}

void Blocks::wait(State state) {
  Thread& thread = threads_[current_];
  thread.state = state;
  leave(thread.fiber, false);
}

void Blocks::sync_block(const char* file, int line) {
  Thread& thread = threads_[current_];
  thread.where = file;
  thread.line = line;
  // Two addresses in turn: a thread that goes on late must not acquire what others do before the next barrier.
  char* barrier = &barriers_[barrier_ + 32 + generation_ % 2];
  release(barrier);
  wait(State::at_barrier);
  acquire(barrier);
}

// All that can run have run: either the whole block stands at one barrier, or it never will.
void Blocks::release_barrier(int live) {
  const auto end = threads_.begin() + count_;
  const auto first =
      std::find_if(threads_.begin(), end, [](const Thread& thread) { return thread.state == State::at_barrier; });
  if (first == end) explain_deadlock();
  for (auto thread = first; thread != end; ++thread) {
    if (thread->state == State::in_warp) explain_deadlock();
    if (thread->state != State::at_barrier) continue;
    if (thread->line == first->line && std::strcmp(thread->where, first->where) == 0) continue;
    std::ostringstream places;
    places << "threads of one block wait at different __syncthreads(), " << first->where << ":" << first->line
           << " and " << thread->where << ":" << thread->line;
    fail(*thread, places.str());
  }
  if (live != count_) {
    std::ostringstream place;
    place << "__syncthreads() at " << first->where << ":" << first->line
          << " waits for threads of the block that have returned";
    fail(*first, place.str());
  }
  for (int t = 0; t < count_; ++t) threads_[t].state = State::ready;
  ++generation_;
}

void Blocks::fail(const Thread& thread, const std::string& what) const {
  const Context& c = *thread.context;
  std::ostringstream sentence;
  sentence << what << " (block " << c.block.x << ", " << c.block.y << ", " << c.block.z << ", thread " << c.thread.x
           << ", " << c.thread.y << ", " << c.thread.z << ")";
  throw KernelError(sentence.str());
}

bool Blocks::is_shared(const void* p) const {
  for (const SharedVariable& variable : shared_)
    if (p >= variable.begin && p < variable.begin + variable.bytes) return true;
  return false;
}

char* Blocks::shared_variable(const void* key, size_t bytes, size_t alignment) {
  acquire(&allocates_);
  for (const SharedVariable& variable : shared_)
    if (variable.key == key) return variable.begin;
  if (key == nullptr) {
    error_ = "the kernel uses dynamic shared memory, and the launch asks for none";
    wait(State::done);
  }
  static_shared_ += bytes;
  // Outside of all fibers, so that it orders nothing between them.
  if (under_tsan()) __tsan_switch_to_fiber(scheduler_tsan(), 1);
  char* p = allocate(key, bytes, alignment);
  if (under_tsan()) __tsan_switch_to_fiber(threads_[current_].fiber.tsan, 1);
  acquire(&allocates_);
  return p;
}

char* Blocks::allocate(const void* key, size_t bytes, size_t alignment) {
  void* p = nullptr;
  if (posix_memalign(&p, std::max<size_t>(alignment, 16), bytes) != 0) throw std::bad_alloc();
  std::memset(p, 0xff, bytes);
  release(&allocates_);
  shared_.push_back({key, static_cast<char*>(p), bytes});
  return static_cast<char*>(p);
}

void Blocks::free_shared() {
  for (const SharedVariable& variable : shared_) {
    if (under_tsan() && options().between_blocks)
      garbage_.push_back(variable.begin);  // or the next block would get the same memory
    else
      free(variable.begin);
  }
  shared_.clear();
}

// What the kernel calls.

const Context& self() { return blocks().self(); }
void sync_block(const char* file, int line) { blocks().sync_block(file, line); }
void sync_warp(unsigned mask) { blocks().exchange(mask, nullptr, nullptr, 0, self().lane, true, "__syncwarp"); }
void exchange(unsigned mask, const void* in, void* out, size_t bytes, int source, const char* what) {
  blocks().exchange(mask, in, out, bytes, source, false, what);
}
unsigned vote(unsigned mask, bool predicate, const char* what) { return blocks().vote(mask, predicate, what); }
void* shared_variable(const void* key, size_t bytes, size_t alignment) {
  return blocks().shared_variable(key, bytes, alignment);
}
void* dynamic_shared() { return blocks().shared_variable(nullptr, 0, 128); }

}  // namespace cuda_on_cpu

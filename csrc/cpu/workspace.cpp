#include "workspace.h"

#include <cstddef>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace amended_darts {
namespace {

constexpr std::align_val_t kAlignment{64};

// Grows, never shrinks, and does not keep what it held.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&&) = delete;
  ~Buffer() { ::operator delete(data_, kAlignment); }

  float* reserve(int64_t floats) {
    if (size_ < floats) {
      ::operator delete(std::exchange(data_, nullptr), kAlignment);
      size_ = 0;
      data_ = static_cast<float*>(::operator new(static_cast<size_t>(floats) * sizeof(float), kAlignment));
      size_ = floats;
    }
    return data_;
  }
  int64_t bytes() const { return size_ * static_cast<int64_t>(sizeof(float)); }

 private:
  float* data_ = nullptr;
  int64_t size_ = 0;
};

constexpr size_t kMaxIdle = 8;  // arenas kept: as many calls as usually run at a time

}  // namespace

class WorkspaceArena {
 public:
  Buffer shared;

  std::pair<int64_t, float*> take_scratch(int64_t floats) {
    std::lock_guard<std::mutex> lock(mutex_);
    int64_t slot = 0;
    if (free_.empty()) {
      slot = static_cast<int64_t>(scratch_.size());
      scratch_.emplace_back();
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    return {slot, scratch_[static_cast<size_t>(slot)].reserve(floats)};
  }
  void give_scratch(int64_t slot) {
    std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(slot);
  }
  int64_t bytes() const {
    int64_t sum = shared.bytes();
    for (const Buffer& buffer : scratch_) sum += buffer.bytes();
    return sum;
  }

 private:
  std::mutex mutex_;
  std::vector<Buffer> scratch_;
  std::vector<int64_t> free_;
};

namespace {

std::mutex idle_mutex;
std::vector<std::unique_ptr<WorkspaceArena>>& idle() {
  static auto* arenas = new std::vector<std::unique_ptr<WorkspaceArena>>;  // outlives every thread
  return *arenas;
}

}  // namespace

Workspace::Workspace() {
  {
    std::lock_guard<std::mutex> lock(idle_mutex);
    if (!idle().empty()) {
      arena_ = std::move(idle().back());
      idle().pop_back();
    }
  }
  if (!arena_) arena_ = std::make_unique<WorkspaceArena>();
}

Workspace::~Workspace() {
  std::lock_guard<std::mutex> lock(idle_mutex);
  if (idle().size() < kMaxIdle) idle().push_back(std::move(arena_));
}

float* Workspace::shared(int64_t floats) { return arena_->shared.reserve(floats); }

Workspace::Scratch::Scratch(Workspace& workspace, int64_t floats) : workspace_(workspace) {
  const auto [slot, data] = workspace.arena_->take_scratch(floats);
  slot_ = slot;
  data_ = data;
}

Workspace::Scratch::~Scratch() { workspace_.arena_->give_scratch(slot_); }

void release_workspace() {
  std::vector<std::unique_ptr<WorkspaceArena>> freed;
  std::lock_guard<std::mutex> lock(idle_mutex);
  freed.swap(idle());
}

int64_t workspace_bytes() {
  std::lock_guard<std::mutex> lock(idle_mutex);
  int64_t sum = 0;
  for (const auto& arena : idle()) sum += arena->bytes();
  return sum;
}

}  // namespace amended_darts

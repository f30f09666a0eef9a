#include "threads.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "../../csrc/common/parallel.h"

namespace amended_darts {
namespace {
int64_t team = 1;
}

void set_num_threads(int64_t threads) { team = threads; }
int64_t num_threads() { return team; }

void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  const int64_t ranges = std::clamp(count / std::max<int64_t>(grain, 1), int64_t{1}, team);
  std::vector<std::thread> workers;
  for (int64_t i = 1; i < ranges; ++i) {
    workers.emplace_back([&, i] { body(i * count / ranges, (i + 1) * count / ranges); });
  }
  body(0, count / ranges);
  for (std::thread& worker : workers) worker.join();
}

}  // namespace amended_darts

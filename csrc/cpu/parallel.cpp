// parallel_for on torch's own thread pool.
#include "../common/parallel.h"

#include <torch/csrc/stable/ops.h>

namespace amended_darts {

void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  torch::stable::parallel_for(0, count, grain, body);
}

int64_t num_threads() { return torch::stable::get_num_threads(); }

}  // namespace amended_darts

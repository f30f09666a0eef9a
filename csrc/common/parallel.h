// The one door from torch-free kernels to a thread pool. The library implements it with torch's own pool; a
// stand-alone program links an implementation of its own.
#pragma once

#include <cstdint>
#include <functional>

namespace amended_darts {

// Calls body(begin, end) on disjoint ranges that cover [0, count), each at least `grain` long except the last. How the
// ranges fall depends on the number of threads, so results must not: no sums across a range's border.
void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

// Threads that parallel_for may use.
int64_t num_threads();

}  // namespace amended_darts

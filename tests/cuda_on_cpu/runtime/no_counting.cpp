#include "counting.h"

namespace cuda_on_cpu {

void start_counting() {}
Traffic counted() { return {}; }

}  // namespace cuda_on_cpu

// The thread pool of the stand-alone programs: a team started anew for every call, of a size they choose.
#pragma once

#include <cstdint>

namespace amended_darts {

void set_num_threads(int64_t threads);

}  // namespace amended_darts

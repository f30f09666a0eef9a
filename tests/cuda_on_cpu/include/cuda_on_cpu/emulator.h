// What a test asks of the emulator: in which order threads run, and what was launched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "launch.h"
#include "types.h"

namespace cuda_on_cpu {

// In which order the blocks of a launch run, and between two barriers the threads of a block.
enum class Order { forward, reverse, random };

struct Options {
  Order order = Order::forward;
  uint64_t seed = 0;  // of Order::random
  // Under ThreadSanitizer: report races between blocks too. Slow: small grids alone.
  bool between_blocks = false;
  bool keep_arguments = false;  // in the record of launches
};
Options& options();

// Bytes of global memory; `unique`: each byte counted once, whatever the number of threads that touched it.
struct Traffic {
  uint64_t loaded = 0, stored = 0, unique_loaded = 0, unique_stored = 0;
};

struct LaunchRecord {
  std::string kernel;  // demangled, without its parameters
  dim3 grid, block;
  size_t dynamic_shared = 0, static_shared = 0;  // bytes of a block
  Traffic traffic;                               // zeros where the kernels were not compiled for counting
  Arguments arguments;                           // empty unless asked for
};
// The launches since the last call, in order. At most a million are kept.
std::vector<LaunchRecord> take_launches();

}  // namespace cuda_on_cpu

// What tests/cuda_on_cpu/emulator.py calls by way of ctypes.
#include <sstream>
#include <string>

#include "cuda_on_cpu/emulator.h"

using namespace cuda_on_cpu;

#define EXPORTED extern "C" __attribute__((visibility("default")))

// 0 forward, 1 reverse, 2 random
EXPORTED void cuda_on_cpu_set_order(int order, uint64_t seed) {
  options().order = static_cast<Order>(order);
  options().seed = seed;
}

// The launches since the last call, one a line, with tabs between; valid until the next call.
EXPORTED const char* cuda_on_cpu_take_launches() {
  static std::string text;
  std::ostringstream out;
  for (const LaunchRecord& r : take_launches())
    out << r.kernel << '\t' << r.grid.x << '\t' << r.grid.y << '\t' << r.grid.z << '\t' << r.block.x << '\t'
        << r.block.y << '\t' << r.block.z << '\t' << r.dynamic_shared << '\t' << r.static_shared << '\t'
        << r.traffic.loaded << '\t' << r.traffic.stored << '\t' << r.traffic.unique_loaded << '\t'
        << r.traffic.unique_stored << '\n';
  text = out.str();
  return text.c_str();
}

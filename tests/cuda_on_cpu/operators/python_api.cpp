// What tests/cuda_on_cpu/emulator.py calls by way of ctypes.
#include <sstream>
#include <string>

#include "cuda_on_cpu/emulator.h"

using namespace cuda_on_cpu;

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

std::string hexadecimal(const Arguments& bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const unsigned char byte : bytes) text.append({digits[byte >> 4], digits[byte & 15]});
  return text;
}

}  // namespace

// 0 forward, 1 reverse, 2 random
EXPORTED void cuda_on_cpu_set_order(int order, uint64_t seed) {
  options().order = static_cast<Order>(order);
  options().seed = seed;
}

// Whether launches are recorded with the bytes of their arguments.
EXPORTED void cuda_on_cpu_keep_arguments(int keep) { options().keep_arguments = keep != 0; }

// The launches since the last call, one a line, with tabs between; valid until the next call.
EXPORTED const char* cuda_on_cpu_take_launches() {
  static std::string text;
  std::ostringstream out;
  for (const LaunchRecord& r : take_launches())
    out << r.kernel << '\t' << r.grid.x << '\t' << r.grid.y << '\t' << r.grid.z << '\t' << r.block.x << '\t'
        << r.block.y << '\t' << r.block.z << '\t' << r.dynamic_shared << '\t' << r.static_shared << '\t'
        << r.traffic.loaded << '\t' << r.traffic.stored << '\t' << r.traffic.unique_loaded << '\t'
        << r.traffic.unique_stored << '\t' << hexadecimal(r.arguments) << '\n';
  text = out.str();
  return text.c_str();
}

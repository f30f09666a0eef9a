// Launches: what a GPU would refuse, the order of blocks, and the record of what ran.
#include "cuda_on_cpu/launch.h"

#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <numeric>
#include <random>
#include <sstream>
#include <string>
#include <utility>

#include "block.h"
#include "counting.h"
#include "cuda_on_cpu/emulator.h"

namespace cuda_on_cpu {
namespace {

constexpr size_t kSharedWithoutAsking = 48 * 1024;
constexpr size_t kShared = 227 * 1024;  // of a block on sm_90; 163 KB on sm_80

std::mutex mutex;  // one launch at a time
std::vector<LaunchRecord> records;
std::map<const void*, size_t> allowed_shared;
std::string last_error;

Options options_of_environment() {
  Options result;
  if (const char* order = std::getenv("CUDA_ON_CPU_ORDER")) {  // forward, reverse or random:<seed>
    const std::string name = order;
    if (name == "reverse") result.order = Order::reverse;
    if (name.starts_with("random:")) {
      result.order = Order::random;
      result.seed = std::strtoull(name.c_str() + 7, nullptr, 10);
    }
  }
  result.between_blocks = std::getenv("CUDA_ON_CPU_BETWEEN_BLOCKS") != nullptr;
  return result;
}

// "amended_darts::perturbation::perturb_kernel<float>"; an address where the kernel has internal linkage.
std::string name_of(const void* kernel) {
  Dl_info info{};
  std::ostringstream address;
  address << kernel;
  if (dladdr(kernel, &info) == 0 || info.dli_sname == nullptr) return address.str();
  int status = 0;
  char* demangled = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
  std::string name = status == 0 ? demangled : info.dli_sname;
  std::free(demangled);
  if (name.starts_with("void ")) name.erase(0, 5);
  int depth = 0;  // the parameters begin at the first parenthesis outside of template arguments
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<') ++depth;
    if (name[i] == '>') --depth;
    if (name[i] == '(' && depth == 0 && name.compare(i, 21, "(anonymous namespace)") != 0) return name.substr(0, i);
  }
  return name;
}

std::string refuse(const void* kernel, const cudaLaunchConfig_t& config) {
  const dim3 g = config.grid, b = config.block;
  std::ostringstream why;
  if (b.x > 1024 || b.y > 1024 || b.z > 64 || size_t{b.x} * b.y * b.z > 1024 || b.x * b.y * b.z == 0)
    why << "a block of " << b.x << " x " << b.y << " x " << b.z << " threads";
  else if (g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535 || g.x == 0 || g.y == 0 || g.z == 0)
    why << "a grid of " << g.x << " x " << g.y << " x " << g.z << " blocks";
  else if (config.shared_bytes > std::max(allowed_shared[kernel], kSharedWithoutAsking))
    why << config.shared_bytes << " bytes of dynamic shared memory without cudaFuncSetAttribute";
  return why.str();
}

std::vector<size_t> block_order(size_t count, std::mt19937_64& random) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  if (options().order == Order::reverse) std::reverse(order.begin(), order.end());
  if (options().order == Order::random) std::shuffle(order.begin(), order.end(), random);
  return order;
}

void run_blocks(const cudaLaunchConfig_t& config, const std::function<void()>& thread) {
  const dim3 g = config.grid;
  std::mt19937_64 random(options().seed);
  blocks().begin(thread, g, config.block, config.shared_bytes);
  for (const size_t i : block_order(size_t{g.x} * g.y * g.z, random))
    blocks().run({static_cast<unsigned>(i % g.x), static_cast<unsigned>(i / g.x % g.y),
                  static_cast<unsigned>(i / (size_t{g.x} * g.y))},
                 random);
}

}  // namespace

bool keeps_arguments() { return options().keep_arguments; }

Options& options() {
  static Options all = options_of_environment();
  return all;
}

std::vector<LaunchRecord> take_launches() {
  const std::lock_guard lock(mutex);
  return std::exchange(records, {});
}

cudaError_t run(const void* kernel, const cudaLaunchConfig_t& config, Arguments arguments,
                const std::function<void()>& thread) {
  const std::lock_guard lock(mutex);
  last_error = refuse(kernel, config);
  if (!last_error.empty()) {
    last_error = "no GPU takes " + last_error;
    return cudaErrorInvalidConfiguration;
  }
  LaunchRecord record{name_of(kernel), config.grid, config.block, config.shared_bytes, 0, {}, std::move(arguments)};
  start_counting();
  try {
    run_blocks(config, thread);
    record.static_shared = blocks().static_shared();
    blocks().end();
  } catch (const KernelError& error) {
    blocks().abandon();
    last_error = record.kernel + ": " + error.what();
  }
  record.traffic = counted();
  if (last_error.empty() && record.static_shared > kSharedWithoutAsking)
    last_error =
        record.kernel + ": no GPU has " + std::to_string(record.static_shared) + " bytes of static shared memory";
  if (last_error.empty() && record.static_shared + record.dynamic_shared > kShared)
    last_error = record.kernel + ": no GPU has " + std::to_string(record.static_shared + record.dynamic_shared) +
                 " bytes of shared memory for a block";
  if (records.size() < 1000000) records.push_back(std::move(record));
  return last_error.empty() ? cudaSuccess : cudaErrorLaunchFailure;
}

}  // namespace cuda_on_cpu

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  const std::lock_guard lock(cuda_on_cpu::mutex);
  if (value < 0 || static_cast<size_t>(value) > cuda_on_cpu::kShared) {
    cuda_on_cpu::last_error = "no GPU has " + std::to_string(value) + " bytes of shared memory for a block";
    return cudaErrorInvalidValue;
  }
  cuda_on_cpu::allowed_shared[kernel] = value;
  return cudaSuccess;
}

cudaError_t cudaGetLastError() { return cudaSuccess; }  // every error has been returned already

const char* cudaGetErrorString(cudaError_t) { return cuda_on_cpu::last_error.c_str(); }

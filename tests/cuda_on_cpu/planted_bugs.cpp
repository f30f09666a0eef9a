// planted_bugs <bug>: runs the kernel with that bug; the order of threads and blocks is the environment's.
//   exit status 0: the result is right, 1: it is wrong, 2: the launch failed (its sentence is printed)
#include "planted_bugs.cuh"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace planted {
namespace {

constexpr int kRows = 2, kWidth = 200;

int value(int row, int column) { return (row * 31 + column * 17) % 23 - 8; }

template <Bug bug>
int run() {
  std::vector<float> x(kRows * kWidth), y(kRows * kWidth, -1.0f);
  unsigned total = 0, expected_total = 0;
  int wrong = 0;
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < kWidth; ++c) x[r * kWidth + c] = static_cast<float>(value(r, c));
  const cudaLaunchConfig_t config{dim3((kWidth + kThreads - 1) / kThreads, kRows), kThreads,
                                  sizeof(unsigned) * kThreads / 32};
  const cudaError_t error =
      cudaLaunchKernelEx(&config, window_kernel<bug>, const_cast<const float*>(x.data()), y.data(), &total, kWidth);
  if (error != cudaSuccess) {
    std::printf("%s\n", cudaGetErrorString(error));
    return 2;
  }
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < kWidth; ++c) {
      int sum = 0;
      for (int i = c - kRadius; i <= c + kRadius; ++i) sum += i >= 0 && i < kWidth && value(r, i) > 0 ? value(r, i) : 0;
      expected_total += sum;
      wrong += y[r * kWidth + c] != static_cast<float>(sum);
    }
  std::printf("%d wrong numbers, total %u, expected %u\n", wrong, total, expected_total);
  return wrong > 0 || total != expected_total;
}

struct Named {
  const char* name;
  int (*run)();
};
#define NAMED(bug) {#bug, &run<Bug::bug>}
constexpr Named kBugs[] = {NAMED(none),
                           NAMED(missing_barrier),
                           NAMED(missing_warp_barrier),
                           NAMED(divergent_barrier),
                           NAMED(early_return),
                           NAMED(absent_lane),
                           NAMED(narrow_halo),
                           NAMED(wrong_reduction_order),
                           NAMED(static_shared_past_end),
                           NAMED(dynamic_shared_past_end),
                           NAMED(global_load_past_end),
                           NAMED(global_store_past_end),
                           NAMED(block_race)};

}  // namespace
}  // namespace planted

int main(int count, char** arguments) {
  for (const planted::Named& bug : planted::kBugs)
    if (count == 2 && std::strcmp(bug.name, arguments[1]) == 0) return bug.run();
  std::fprintf(stderr, "usage: planted_bugs <bug>; the bugs are those of planted_bugs.cuh\n");
  return 64;
}

// Fused mixed op against plain double arithmetic on random calls, without torch: what sanitizers run.
//
// Usage: test_mixed_op [calls=200] [seed=0] [largest work in operations=4e6]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "../../csrc/cpu/isa.h"
#include "../../csrc/cpu/workspace.h"
#include "mixed_case.h"
#include "threads.h"

namespace {

using namespace mixed_case;

double norm(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

// ||difference|| / (||truth|| + 1e-3 * the largest norm)
double worst_distance(const Result& result, const Result& truth, std::string* where) {
  double largest = 0, worst = 0;
  for (const auto& tensor : truth.tensors) largest = std::max(largest, norm(tensor));
  for (size_t i = 0; i < truth.tensors.size(); ++i) {
    std::vector<float> difference = result.tensors[i];
    for (size_t j = 0; j < difference.size(); ++j) difference[j] -= truth.tensors[i][j];
    const double scale = norm(truth.tensors[i]) + 1e-3 * largest;
    const double distance = scale > 0 ? norm(difference) / scale : norm(difference);
    if (!(distance <= worst)) {
      worst = distance;
      *where = truth.names[i] + " #" + std::to_string(i);
    }
  }
  return worst;
}

// NaN where the truth has NaN and only there, in y and grad_x.
bool same_nans(const Result& result, const Result& truth, std::string* where) {
  for (size_t i = 0; i < truth.tensors.size(); ++i) {
    for (size_t j = 0; j < truth.tensors[i].size(); ++j) {
      const float a = result.tensors[i][j], b = truth.tensors[i][j];
      if (std::isnan(a) == std::isnan(b) && std::isinf(a) == std::isinf(b)) continue;
      *where = truth.names[i] + " #" + std::to_string(i) + " at " + std::to_string(j) + ": " + std::to_string(a) +
               ", expected " + std::to_string(b);
      return false;
    }
  }
  return true;
}

bool identical(const Result& a, const Result& b) {
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    if (a.tensors[i].empty()) continue;
    if (std::memcmp(a.tensors[i].data(), b.tensors[i].data(), a.tensors[i].size() * sizeof(float)) != 0) return false;
  }
  return a.tensors.size() == b.tensors.size();
}

double work(const Config& config) {
  double taps = 0;
  for (const auto& candidate : config.candidates) {
    const double k2 = candidate.kernel * candidate.kernel;
    taps += candidate.kind == amended_darts::mixed::Kind::dense ? k2 * static_cast<double>(config.c)
                                                                : k2 + 2 * static_cast<double>(config.c);
  }
  return taps * static_cast<double>(config.edges * config.n * config.c * config.h * config.w);
}

int fail(const Config& config, const std::string& what) {
  std::printf("FAILED %s: %s\n", config.text().c_str(), what.c_str());
  return 1;
}

int check(Config config, std::mt19937_64& random, double tolerance, double* worst) {
  Inputs inputs;
  Result truth;
  double kink = 0;
  for (int attempt = 0; attempt < 20 && kink < 1e-6; ++attempt) {  // float and double may differ about a ReLU
    inputs = random_inputs(config, random);
    truth = run_truth(config, inputs, &kink);
  }
  if (kink < 1e-6) return 0;
  amended_darts::set_num_threads(1);
  const Result one = run_fused(config, inputs);
  amended_darts::set_num_threads(3);
  const Result three = run_fused(config, inputs);
  if (!identical(one, three)) return fail(config, "one and three threads differ");
  std::string where;
  if (config.extremes) return same_nans(one, truth, &where) ? 0 : fail(config, where);
  const double distance = worst_distance(one, truth, &where);
  *worst = std::max(*worst, distance);
  if (!(distance <= tolerance)) return fail(config, where + ": distance " + std::to_string(distance * 1e6) + "e-6");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const char* isa = std::getenv("AMENDED_DARTS_CPU_ISA");
  const std::vector<std::string> runnable = amended_darts::supported_isas();
  if (isa != nullptr && std::find(runnable.begin(), runnable.end(), isa) == runnable.end()) {
    std::printf("skipped: this processor cannot run %s\n", isa);
    return 77;
  }
  const int calls = argc > 1 ? std::atoi(argv[1]) : 200;
  std::mt19937_64 random(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0);
  const double limit = argc > 3 ? std::atof(argv[3]) : 4e6;
  int failures = 0, done = 0;
  double worst = 0;
  while (done < calls) {
    Config config = random_config(random);
    if (work(config) > limit) continue;
    const int64_t values =
        config.n * ((config.h + config.stride - 1) / config.stride) * ((config.w + config.stride - 1) / config.stride);
    if (config.batch_stats && values < 8) continue;  // statistics of a few values: rounding decides
    if (done % 8 == 7) {  // NaN and Inf, whose way is clear where statistics do not spread them
      config.extremes = true;
      config.batch_stats = false;
      config.mean = 0;
    }
    // A large mean cancels in the gradients of matrices before BatchNorm, in any implementation.
    // A single channel leaves the gradients of its weights nothing but eps and rounding: BatchNorm undoes their scale.
    double ignored = 0;
    failures += check(config, random,
                      config.c == 1     ? 1e-2
                      : config.mean > 0 ? 5e-5
                                        : 4e-6,
                      config.c == 1 ? &ignored : &worst);
    ++done;
  }
  amended_darts::release_workspace();
  std::printf("%s: %d calls, %d failed, worst distance %.2e, %lld bytes kept\n",
              amended_darts::isa_name(amended_darts::current_isa()), done, failures, worst,
              static_cast<long long>(amended_darts::workspace_bytes()));
  return failures == 0 ? 0 : 1;
}

#include "isa.h"

#include <array>
#include <cstdlib>
#include <stdexcept>

namespace amended_darts {
namespace {

constexpr std::array kIsas{Isa::baseline, Isa::avx2, Isa::avx512};

bool supported(Isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  switch (isa) {
    case Isa::baseline: return true;
    case Isa::avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::avx512:
      return supported(Isa::avx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512dq");
  }
  return false;
#else
  return isa == Isa::baseline;
#endif
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

Isa choose() {
  const char* wanted = std::getenv("AMENDED_DARTS_CPU_ISA");
  Isa widest = Isa::baseline;
  for (const Isa isa : kIsas) {
    if (!supported(isa)) continue;
    if (wanted != nullptr && std::string(wanted) == isa_name(isa)) return isa;
    widest = isa;
  }
  if (wanted != nullptr && *wanted != '\0') {
    throw std::runtime_error("AMENDED_DARTS_CPU_ISA: expected one of " + join(supported_isas()) +
                             " (what this processor can run), got '" + wanted + "'");
  }
  return widest;
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::baseline: return "baseline";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
  }
  return "";
}

std::vector<std::string> supported_isas() {
  std::vector<std::string> names;
  for (const Isa isa : kIsas) {
    if (supported(isa)) names.emplace_back(isa_name(isa));
  }
  return names;
}

Isa current_isa() {
  static const Isa isa = choose();
  return isa;
}

}  // namespace amended_darts

// Which instruction set the CPU kernels run on, chosen when the first of them runs.
#pragma once

#include <string>
#include <vector>

namespace amended_darts {

enum class Isa { baseline, avx2, avx512 };

const char* isa_name(Isa isa);

// Those this processor can run, from the plainest to the widest.
std::vector<std::string> supported_isas();

// The widest of them, or the one named by the environment variable AMENDED_DARTS_CPU_ISA.
// Throws std::runtime_error where that names none, or one this processor lacks.
Isa current_isa();

}  // namespace amended_darts

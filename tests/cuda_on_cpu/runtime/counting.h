// Counts the bytes of global memory that a launch moves.
#pragma once

#include "cuda_on_cpu/emulator.h"

namespace cuda_on_cpu {

// Where the kernels were compiled with -fsanitize=thread and linked with counting.cpp in place of ThreadSanitizer,
// every load and store of theirs calls it. With no_counting.cpp nothing is counted.
void start_counting();
Traffic counted();

}  // namespace cuda_on_cpu

// Shared memory by way of a macro: an emulator that runs the kernels on a CPU defines its own before it includes them.
#pragma once

#ifndef CU_SHARED
#define CU_SHARED(T, name, dims) __shared__ T name dims
#endif

// <cuda_runtime.h> for g++: what kernels and launchers of csrc/cuda may use of CUDA, run on the CPU, one fiber for each
// CUDA thread of a block, block after block.
//
// There are: threadIdx and its kin, __syncthreads, __syncwarp, the shuffles and votes of a warp with any mask and
// width, atomics on integers, __threadfence, vector types, and the few mathematical functions of functions.h. Atomics
// on floating-point numbers are left out on purpose: their sums would depend on the order of threads. __shared__ stands
// in csrc/cuda/shared_memory.h as a macro; __constant__ and __device__ variables do not exist.
//
// Shared memory is filled with 0xff (NaN, -1) before every block. Threads run in one of three orders (emulator.h);
// results must not depend on it. A barrier that some thread of the block does not reach, a warp operation that waits
// for a lane that never comes, or a launch that no GPU accepts is an error of the launch, in words.
#pragma once

#include "cuda_on_cpu/builtins.h"
#include "cuda_on_cpu/functions.h"
#include "cuda_on_cpu/launch.h"
#include "cuda_on_cpu/types.h"

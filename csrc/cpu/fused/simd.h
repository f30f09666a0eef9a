// One vector of floats, its width fixed by the instruction set this file is compiled for.
//
// Every file that includes this one is compiled once per instruction set (sources.cmake), each time into a namespace of
// its own: AMENDED_DARTS_ISA names it, AMENDED_DARTS_WIDTH is the vector's width in floats. Such files use nothing from
// the standard library that could be emitted out of line: the linker might keep the copy that needs AVX2.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#ifndef AMENDED_DARTS_ISA
#error "AMENDED_DARTS_ISA and AMENDED_DARTS_WIDTH come from the build: see sources.cmake"
#endif

#define AD_INLINE inline __attribute__((always_inline))
#define AD_UNROLL _Pragma("GCC unroll 32")

namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA {

inline constexpr int kWidth = AMENDED_DARTS_WIDTH;

typedef float Vec __attribute__((vector_size(4 * AMENDED_DARTS_WIDTH)));
typedef float UnalignedVec __attribute__((vector_size(4 * AMENDED_DARTS_WIDTH), aligned(4), may_alias));
typedef float Quad __attribute__((vector_size(16)));
typedef float UnalignedQuad __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t IntVec __attribute__((vector_size(4 * AMENDED_DARTS_WIDTH)));

AD_INLINE Vec load(const float* p) { return *reinterpret_cast<const UnalignedVec*>(p); }
AD_INLINE void store(float* p, Vec v) { *reinterpret_cast<UnalignedVec*>(p) = v; }
AD_INLINE Quad load_quad(const float* p) { return *reinterpret_cast<const UnalignedQuad*>(p); }
AD_INLINE void store_quad(float* p, Quad v) { *reinterpret_cast<UnalignedQuad*>(p) = v; }
AD_INLINE Vec broadcast(float value) { return value - Vec{}; }
AD_INLINE Vec zero() { return Vec{}; }

// a * b + c, one instruction where the instruction set has it
AD_INLINE Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }

AD_INLINE Vec select(IntVec mask, Vec a, Vec b) { return mask ? a : b; }

// 0, 1, 2, ...
AD_INLINE IntVec lanes() {
  IntVec v = {};
  for (int i = 0; i < kWidth; ++i) v[i] = i;
  return v;
}

// x < 0 ? 0 : x. The order matters: a NaN compares false and stays.
AD_INLINE Vec relu(Vec x) {
#if AMENDED_DARTS_WIDTH == 16
  return _mm512_max_ps(zero(), x);
#elif AMENDED_DARTS_WIDTH == 8
  return _mm256_max_ps(zero(), x);
#else
  return _mm_max_ps(zero(), x);
#endif
}

// The gradient of relu at x: that of a NaN passes, as in PyTorch.
AD_INLINE Vec relu_grad(Vec x, Vec grad) { return select(x <= zero(), zero(), grad); }

}  // namespace amended_darts::mixed::fused::AMENDED_DARTS_ISA

# Sources of the fused CPU path, relative to this directory.
#
# AMENDED_DARTS_FUSED_SOURCES are compiled once, with the project's own flags. AMENDED_DARTS_FUSED_KERNELS are compiled
# once per instruction set in AMENDED_DARTS_FUSED_ISAS, with AMENDED_DARTS_FUSED_<ISA>_FLAGS; simd.h says why only they.
set(AMENDED_DARTS_FUSED_SOURCES
    ../isa.cpp ../workspace.cpp backward.cpp backward_images.cpp call.cpp forward.cpp image.cpp layers.cpp
    norm_backward.cpp statistics.cpp weights.cpp)
set(AMENDED_DARTS_FUSED_KERNELS depthwise.cpp kernels.cpp norm.cpp planes.cpp pointwise.cpp pools.cpp)

set(AMENDED_DARTS_FUSED_ISAS baseline avx2 avx512)
set(AMENDED_DARTS_FUSED_baseline_FLAGS -DAMENDED_DARTS_ISA=baseline -DAMENDED_DARTS_WIDTH=4)
set(AMENDED_DARTS_FUSED_avx2_FLAGS -DAMENDED_DARTS_ISA=avx2 -DAMENDED_DARTS_WIDTH=8 -mavx2 -mfma)
set(AMENDED_DARTS_FUSED_avx512_FLAGS -DAMENDED_DARTS_ISA=avx512 -DAMENDED_DARTS_WIDTH=16 -mavx2 -mfma -mavx512f
                                     -mavx512vl -mavx512dq)
# Vectors wider than the baseline's stay inside these files: GCC need not warn that their calling convention differs. Nor
# that a variable of its own avx512fintrin.h may be uninitialized.
set(AMENDED_DARTS_FUSED_KERNEL_FLAGS -O3 -Wno-psabi -Wno-maybe-uninitialized)

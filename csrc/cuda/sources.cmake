# Every CUDA source of the library, once: one .cu per operator.
set(AMENDED_DARTS_CUDA_KERNELS
  perturbation_kernel.cu)

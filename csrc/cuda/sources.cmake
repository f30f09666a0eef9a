# Every CUDA source of the library, once: one .cu per operator.
set(AMENDED_DARTS_CUDA_KERNELS
  mixed_op_kernel.cu
  perturbation_kernel.cu)

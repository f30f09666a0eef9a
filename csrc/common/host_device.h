// Marks functions that nvcc compiles for host and device and other compilers for the host.
#pragma once

#ifdef __CUDACC__
#define AMENDED_DARTS_HOST_DEVICE __host__ __device__
#else
#define AMENDED_DARTS_HOST_DEVICE
#endif

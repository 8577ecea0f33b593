#pragma once
/// Marks integer arithmetic that kernels share with the host. Expands to nothing unless nvcc
/// compiles the file.
#if defined(__CUDACC__)
#define SHUNT_HD __host__ __device__
#else
#define SHUNT_HD
#endif

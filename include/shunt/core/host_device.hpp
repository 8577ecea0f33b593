#pragma once
/// The one host/device marker: integer arithmetic that kernels share with the host carries it.
/// It expands to nothing unless nvcc compiles the file, so plain C++20 compilers never see CUDA.
#if defined(__CUDACC__)
#define SHUNT_HD __host__ __device__
#else
#define SHUNT_HD
#endif

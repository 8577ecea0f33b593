#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/cuda/stream.hpp"
#include "shunt/cuda/training_device.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/program/program.hpp"
#include "shunt/train/training_device.hpp"

namespace example {

/// The kernels of shunt::cuda_training_device, compiled in a source of its own that spares nvcc the
/// rest of the program. The linker misses a function object that the source doesn't instantiate
/// `launch` for.
struct nvcc_kernels {
  static void move(cudaStream_t on, std::span<shunt::stream_part const> parts,
                   std::int64_t const* guard);
  static void fold(cudaStream_t on, shunt::element type, shunt::reduction how,
                   std::span<std::byte const* const> sources, std::span<std::byte* const> targets,
                   std::size_t size, std::int64_t const* guard);
  static void fill(cudaStream_t on, std::span<std::byte> target, std::int64_t const* guard);
  template <class Items>
  static void launch(shunt::cuda_stream_ref on, std::int64_t n, Items const& f,
                     std::int64_t const* condition);
};
static_assert(shunt::matrix_device<shunt::cuda_training_device<nvcc_kernels>>);

}  // namespace example

#pragma once
/// Kernels of a stream system: copies with counts on the device, folds over a group, and fills, all
/// under a guard word that the device reads.
/// Arguments travel as kernel parameters, so a graph keeps them and an update replaces them.
/// See docs/device-code.md.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/core/float16.hpp"
#include "shunt/cuda/error.hpp"
#include "shunt/device/row_copies.hpp"
#include "shunt/execute/elements.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/program/program.hpp"

namespace shunt {
namespace detail {

inline constexpr unsigned bulk_threads = 256;

/// Returns the number of blocks for `units` pieces of work. The kernels loop over the rest with a
/// grid stride.
[[nodiscard]] inline unsigned bulk_blocks(std::size_t units) {
  constexpr std::size_t each = bulk_threads * 4, most = 1024;
  return static_cast<unsigned>(std::clamp<std::size_t>((units + each - 1) / each, 1, most));
}

/// Returns whether a guard lets the block have its effect; without a guard it does. The word may be
/// the host's, which writes it at any time: one thread reads it, so that the block decides as one.
/// All threads of the block call this.
__device__ inline bool allowed(std::int64_t const* guard) {
  if (guard == nullptr) return true;
  std::int64_t word = 1;
  if (threadIdx.x == 0)
    asm volatile("ld.acquire.sys.s64 %0, [%1];" : "=l"(word) : "l"(guard) : "memory");
  return __syncthreads_and(word != 0) != 0;
}

struct move_batch {
  static constexpr std::size_t most = 64;  // kernel parameters are limited to 4 KB
  stream_part parts[most];
};

/// Row y of the grid moves part y, in accesses of 16 bytes where both ends are aligned.
template <class Batch>
__global__ void __launch_bounds__(bulk_threads)
    move_kernel(Batch const __grid_constant__ batch, std::int64_t const* guard) {
  stream_part const& p = batch.parts[blockIdx.y];
  bool const runs = allowed(guard);
  std::int64_t const count = runs && p.count ? *p.count : p.bytes;
  bool const refused = count < 0 || count > p.bytes;
  bool const first = blockIdx.x == 0 && threadIdx.x == 0;
  if (first && p.refused) *p.refused = refused ? count : 0;
  if (!runs || refused) return;
  if (first && p.count_to) *p.count_to = count;
  std::int64_t const thread = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x,
                     threads = std::int64_t{gridDim.x} * blockDim.x;
  constexpr std::int64_t wide = sizeof(uint4);
  bool const aligned =
      (reinterpret_cast<std::uintptr_t>(p.from) | reinterpret_cast<std::uintptr_t>(p.to)) % wide ==
      0;
  std::int64_t const words = aligned ? count / wide : 0;
  for (std::int64_t i = thread; i < words; i += threads)
    reinterpret_cast<uint4*>(p.to)[i] = reinterpret_cast<uint4 const*>(p.from)[i];
  for (std::int64_t i = words * wide + thread; i < count; i += threads) p.to[i] = p.from[i];
}

struct fold_batch {
  std::byte const* sources[most_members_on_streams];
  std::byte* targets[most_members_on_streams];
  int from, to;

  /// Returns whether all addresses are multiples of 16.
  [[nodiscard]] bool aligned() const {
    std::uintptr_t all = 0;
    for (int k = 0; k < from; ++k) all |= reinterpret_cast<std::uintptr_t>(sources[k]);
    for (int k = 0; k < to; ++k) all |= reinterpret_cast<std::uintptr_t>(targets[k]);
    return all % 16 == 0;
  }
};

/// Folds the i-th vector of all sources. Each thread reads all of them before it writes a target,
/// so a target may be a source.
template <class Vector>
__device__ void fold_at(fold_batch const& batch, reduction how, std::int64_t i) {
  auto sum = reinterpret_cast<Vector const*>(batch.sources[0])[i];
#pragma unroll 4
  for (int k = 1; k < batch.from; ++k) {
    auto const more = reinterpret_cast<Vector const*>(batch.sources[k])[i];
    for (int j = 0; j < Vector::size; ++j) sum.at[j] = combined(how, sum.at[j], more.at[j]);
  }
  for (int k = 0; k < batch.to; ++k) reinterpret_cast<Vector*>(batch.targets[k])[i] = sum;
}

template <class T>
struct single_of {
  static constexpr int size = 1;
  T at[1];
};

/// In vectors of 16 bytes where `wide` is set; the elements left over one by one.
template <class T>
__global__ void __launch_bounds__(bulk_threads)
    fold_kernel(fold_batch const __grid_constant__ batch, reduction how, std::int64_t elements,
                bool wide, std::int64_t const* guard) {
  if (!allowed(guard)) return;
  std::int64_t const thread = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x,
                     threads = std::int64_t{gridDim.x} * blockDim.x;
  using vector = vector_of<T>;
  std::int64_t const vectors = wide ? elements / vector::size : 0;
  for (std::int64_t i = thread; i < vectors; i += threads) fold_at<vector>(batch, how, i);
  for (std::int64_t i = vectors * vector::size + thread; i < elements; i += threads)
    fold_at<single_of<T>>(batch, how, i);
}

/// In stores of 16 bytes, but for what lies before the first multiple of 16 and behind the last.
template <class Byte>
__global__ void __launch_bounds__(bulk_threads)
    fill_kernel(Byte* target, std::int64_t size, std::int64_t const* guard) {
  if (!allowed(guard)) return;
  std::int64_t const thread = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x,
                     threads = std::int64_t{gridDim.x} * blockDim.x;
  constexpr std::int64_t wide = sizeof(uint4);
  auto const past = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(target) % wide);
  std::int64_t const head = past == 0 ? 0 : wide - past < size ? wide - past : size;
  std::int64_t const vectors = (size - head) / wide;
  for (std::int64_t i = thread; i < head; i += threads) target[i] = Byte{0};
  for (std::int64_t i = thread; i < vectors; i += threads)
    reinterpret_cast<uint4*>(target + head)[i] = uint4{0, 0, 0, 0};
  for (std::int64_t i = head + vectors * wide + thread; i < size; i += threads) target[i] = Byte{0};
}

}  // namespace detail

/// Launchers for basic_cuda_system.
/// Throws cuda_error where a launch is refused.
struct cuda_kernels {
  static void move(cudaStream_t on, std::span<stream_part const> parts, std::int64_t const* guard) {
    for (std::size_t first = 0; first < parts.size(); first += detail::move_batch::most) {
      auto const some =
          parts.subspan(first, std::min(detail::move_batch::most, parts.size() - first));
      detail::move_batch batch{};
      std::int64_t longest = 0;
      for (std::size_t k = 0; k < some.size(); ++k) {
        batch.parts[k] = some[k];
        longest = std::max(longest, some[k].bytes);
      }
      dim3 const grid(detail::bulk_blocks(static_cast<std::size_t>(longest) / sizeof(uint4)),
                      static_cast<unsigned>(some.size()));
      detail::move_kernel<<<grid, detail::bulk_threads, 0, on>>>(batch, guard);
      cuda_check(cudaGetLastError(), "move_kernel");
    }
  }

  static void fold(cudaStream_t on, element type, reduction how,
                   std::span<std::byte const* const> sources, std::span<std::byte* const> targets,
                   std::size_t size, std::int64_t const* guard) {
    detail::fold_batch batch{};
    batch.from = static_cast<int>(std::min(sources.size(), most_members_on_streams));
    batch.to = static_cast<int>(std::min(targets.size(), most_members_on_streams));
    std::copy_n(sources.begin(), batch.from, batch.sources);
    std::copy_n(targets.begin(), batch.to, batch.targets);
    auto const launch = [&]<class T>(T) {
      auto const elements = size / sizeof(T);
      bool const wide = batch.aligned();
      detail::fold_kernel<T>
          <<<detail::bulk_blocks(wide ? size / 16 : elements), detail::bulk_threads, 0, on>>>(
              batch, how, static_cast<std::int64_t>(elements), wide, guard);
    };
    switch (type) {
      case element::bytes: launch(std::uint8_t{}); break;
      case element::int32: launch(std::int32_t{}); break;
      case element::int64: launch(std::int64_t{}); break;
      case element::float32: launch(float{}); break;
      case element::float64: launch(double{}); break;
      case element::bfloat16: launch(bfloat16{}); break;
      case element::float16: launch(float16{}); break;
    }
    cuda_check(cudaGetLastError(), "fold_kernel");
  }

  static void fill(cudaStream_t on, std::span<std::byte> target, std::int64_t const* guard) {
    detail::fill_kernel<<<detail::bulk_blocks(target.size() / 16), detail::bulk_threads, 0, on>>>(
        target.data(), static_cast<std::int64_t>(target.size()), guard);
    cuda_check(cudaGetLastError(), "fill_kernel");
  }
};

}  // namespace shunt

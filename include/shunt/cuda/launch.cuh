#pragma once
/// Teams of CUDA threads, and launchers for the function objects of device/: layers, items, rows.
/// All launchers enqueue one kernel on `stream`, wait for nothing, can be captured into a graph,
/// and do not dereference device pointers on the host.
/// See docs/device-code.md.
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "shunt/cuda/error.hpp"
#include "shunt/cuda/stream.hpp"
#include "shunt/device/team.hpp"

namespace shunt {

/// The 32 threads of a warp as a team.
/// Requires compute capability 8.0.
class warp_team {
 public:
  [[nodiscard]] __device__ std::int32_t size() const { return 32; }

  template <class F>
  __device__ void each(F const& f) const {
    f(lane());
    __syncwarp();
  }
  template <class F>
  [[nodiscard]] __device__ std::int64_t sum(F const& f) const {
    std::int64_t mine = f(lane());
    for (int apart = 16; apart > 0; apart /= 2) mine += __shfl_xor_sync(full_mask, mine, apart);
    return mine;
  }
  template <class F>
  [[nodiscard]] __device__ team_sums sums(F const& f) const {
    team_sums all;
    for (std::int32_t k = 0; k < team_sums::count; ++k)
      all.of[k] = sum([&](std::int32_t t) { return f(k, t, 32); });
    return all;
  }
  template <class F>
  [[nodiscard]] __device__ ranked_key least(F const& f) const {
    ranked_key const mine = f(lane());
    auto const high = static_cast<std::uint32_t>(mine.key >> 32),
               low = static_cast<std::uint32_t>(mine.key);
    std::uint32_t const best_high = __reduce_min_sync(full_mask, high);
    std::uint32_t const best_low =
        __reduce_min_sync(full_mask, high == best_high ? low : ~std::uint32_t{0});
    bool const best = high == best_high && low == best_low;
    return {std::uint64_t{best_high} << 32 | best_low,
            __reduce_min_sync(full_mask, best ? mine.index : 0x7fffffff)};
  }
  template <class F>
  __device__ void narrow(F const& f) const {
    f(*this);
  }

 private:
  static constexpr unsigned full_mask = 0xffffffff;
  __device__ static std::int32_t lane() { return static_cast<std::int32_t>(threadIdx.x % 32); }
};

/// The threads of a block as a team.
/// Requires whole warps, at most 32 of them, and `scratch` in the block's shared memory, for this
/// team only.
class block_team {
 public:
  struct scratch {
    std::int64_t sums[2][32];
    std::uint64_t keys[2][32];
    std::int32_t indices[2][32];
  };

  __device__ explicit block_team(scratch& s) : scratch_(&s) {}

  [[nodiscard]] __device__ std::int32_t size() const {
    return static_cast<std::int32_t>(blockDim.x);
  }

  template <class F>
  __device__ void each(F const& f) const {
    f(static_cast<std::int32_t>(threadIdx.x));
    __syncthreads();
  }
  // Double buffer: the barrier of the previous reduction guarantees that all threads have read this
  // half, so one barrier a reduction suffices.
  template <class F>
  [[nodiscard]] __device__ std::int64_t sum(F const& f) const {
    std::int64_t* const sums = scratch_->sums[turn_ ^= 1];
    std::int64_t const mine =
        warp_team().sum([&](std::int32_t) { return f(static_cast<std::int32_t>(threadIdx.x)); });
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = mine;
    __syncthreads();
    std::int64_t all = 0;
    for (unsigned w = 0; w < blockDim.x / 32; ++w) all += sums[w];
    return all;
  }
  /// A warp a sum, as far as there are warps.
  template <class F>
  [[nodiscard]] __device__ team_sums sums(F const& f) const {
    std::int64_t* const sums = scratch_->sums[turn_ ^= 1];
    for (unsigned k = threadIdx.x / 32; k < team_sums::count; k += blockDim.x / 32) {
      std::int64_t const whole =
          warp_team().sum([&](std::int32_t t) { return f(static_cast<std::int32_t>(k), t, 32); });
      if (threadIdx.x % 32 == 0) sums[k] = whole;
    }
    __syncthreads();
    team_sums all;
    for (std::int32_t k = 0; k < team_sums::count; ++k) all.of[k] = sums[k];
    return all;
  }
  template <class F>
  [[nodiscard]] __device__ ranked_key least(F const& f) const {
    turn_ ^= 1;
    std::uint64_t* const keys = scratch_->keys[turn_];
    std::int32_t* const indices = scratch_->indices[turn_];
    ranked_key const mine =
        warp_team().least([&](std::int32_t) { return f(static_cast<std::int32_t>(threadIdx.x)); });
    if (threadIdx.x % 32 == 0) {
      keys[threadIdx.x / 32] = mine.key;
      indices[threadIdx.x / 32] = mine.index;
    }
    __syncthreads();
    ranked_key best;
    for (unsigned w = 0; w < blockDim.x / 32; ++w)
      if (ranked_key const of_warp{keys[w], indices[w]}; of_warp.before(best)) best = of_warp;
    return best;
  }
  template <class F>
  __device__ void narrow(F const& f) const {
    if (threadIdx.x < 32) f(warp_team());
    __syncthreads();
  }

 private:
  scratch* scratch_;
  mutable int turn_ = 0;
};

namespace detail {

inline constexpr int threads_per_block = 256;

template <class Layers>
__global__ void __launch_bounds__(threads_per_block, 1) layers_kernel(Layers work) {
  extern __shared__ __align__(16) unsigned char shared[];
  __shared__ block_team::scratch scratch;
  work(block_team(scratch), static_cast<std::int32_t>(blockIdx.x), shared);
}

template <class Items>
__global__ void __launch_bounds__(threads_per_block) items_kernel(Items work, std::int64_t items) {
  std::int64_t const step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < items; i += step)
    work(i);
}

template <class Rows>
__global__ void __launch_bounds__(threads_per_block)
    rows_kernel(Rows work, unsigned blocks_per_row) {
  auto const row = static_cast<std::int32_t>(blockIdx.x / blocks_per_row);
  std::int64_t const block = blockIdx.x % blocks_per_row;
  work(row, block * blockDim.x + threadIdx.x, std::int64_t{blocks_per_row} * blockDim.x);
}

}  // namespace detail

/// Launches work(team, layer, shared) for layers 0 .. layers - 1, with a block of 256 threads each:
/// swift_moe_layers, eplb_layers, split_layers.
/// Throws cuda_error where the launch is refused, for example where a layer needs more shared
/// memory than a block can have (48 KB; up to 227 KB with the opt-in of newer GPUs).
template <class Layers>
void run_layers(Layers const& work, std::int32_t layers, cuda_stream_ref stream) {
  if (layers == 0) return;
  auto const bytes = static_cast<std::size_t>(work.shared_bytes());
  if (bytes > 40 * 1024)
    cuda_check(cudaFuncSetAttribute(&detail::layers_kernel<Layers>,
                                    cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(bytes)),
               "cudaFuncSetAttribute(shared memory of a layer)");
  detail::layers_kernel<<<static_cast<unsigned>(layers), detail::threads_per_block, bytes,
                          stream.get()>>>(work);
  cuda_check(cudaGetLastError(), "layers_kernel");
}

/// Launches work(i) for i = 0 .. items - 1, one thread an item.
/// Throws cuda_error where the launch is refused.
template <class Items>
void run_items(Items const& work, std::int64_t items, cuda_stream_ref stream) {
  if (items == 0) return;
  std::int64_t const most = (std::int64_t{1} << 31) - 1;
  std::int64_t const blocks = (items + detail::threads_per_block - 1) / detail::threads_per_block;
  detail::items_kernel<<<static_cast<unsigned>(blocks < most ? blocks : most),
                         detail::threads_per_block, 0, stream.get()>>>(work, items);
  cuda_check(cudaGetLastError(), "items_kernel");
}

/// Launches work(row, thread, threads) for each of `rows` rows. The threads of a row share it: each
/// handles the vectors `thread`, `thread + threads`, ...
/// `vectors` is the number of vectors of the longest row; a thread gets about four.
/// Throws cuda_error where the launch is refused.
template <class Rows>
void run_rows(Rows const& work, std::int32_t rows, std::int64_t vectors, cuda_stream_ref stream) {
  if (rows == 0 || vectors == 0) return;
  std::int64_t const per_block = 4 * detail::threads_per_block,
                     most = ((std::int64_t{1} << 31) - 1) / rows;
  std::int64_t const blocks = (vectors + per_block - 1) / per_block;
  auto const per_row = static_cast<unsigned>(blocks < most ? blocks : most);
  detail::rows_kernel<<<static_cast<unsigned>(rows) * per_row, detail::threads_per_block, 0,
                        stream.get()>>>(work, per_row);
  cuda_check(cudaGetLastError(), "rows_kernel");
}

}  // namespace shunt

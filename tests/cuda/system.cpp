#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/cuda/device.hpp"
#include "shunt/cuda/error.hpp"
#include "shunt/cuda/system.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/execute/stream_work.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt::tests::system_test {
namespace {

/// Kernels that nobody calls: without nvcc the system must compile all the same.
struct no_kernels {
  static void move(cudaStream_t, std::span<stream_part const>, std::int64_t const*) {}
  static void fold(cudaStream_t, element, reduction, std::span<std::byte const* const>,
                   std::span<std::byte* const>, std::size_t, std::int64_t const*) {}
  static void fill(cudaStream_t, std::span<std::byte>, std::int64_t const*) {}
};
using system_without_kernels = basic_cuda_system<no_kernels>;

static_assert(calling_stream_system<system_without_kernels> &&
              graph_system<system_without_kernels>);

struct no_work {
  void operator()(rank_id, stream_task const&, cuda_stream_ref) {}
  std::span<std::byte> buffer(rank_id, buffer_id) { return {}; }
};
static_assert(work_on_streams<no_work, system_without_kernels>);

TEST(system, is_one_clear_error_without_a_device) {
  auto const gpu = first_cuda_device();
  if (gpu) {
    no_work w;
    system_without_kernels system(*gpu.device);
    program p;
    p.ranks.resize(2);
    EXPECT_EQ(stream_executor<system_without_kernels>{.system = &system}.run(p, w).done[1],
              (progress{1, 0}));
    EXPECT_EQ(graph_executor<system_without_kernels>{.system = &system}.run(p, w).done[1],
              (progress{1, 0}));
    return;
  }
  try {
    system_without_kernels const system;
    FAIL();
  } catch (cuda_error const& e) {
    EXPECT_EQ(e.call(), "cudaSetDevice");
  }
}

}  // namespace
}  // namespace shunt::tests::system_test

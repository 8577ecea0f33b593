#if __has_include(<cublasLt.h>)
#include "shunt/cuda/training_device.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/cuda/device.hpp"
#include "shunt/cuda/error.hpp"
#include "shunt/train/stream_moe_model.hpp"
#include "shunt/train/training_device.hpp"

namespace shunt::tests::training_device_test {
namespace {

/// Kernels without nvcc.
struct no_kernels {
  static void move(cudaStream_t, std::span<stream_part const>, std::int64_t const*) {}
  static void fold(cudaStream_t, element, reduction, std::span<std::byte const* const>,
                   std::span<std::byte* const>, std::size_t, std::int64_t const*) {}
  static void fill(cudaStream_t, std::span<std::byte>, std::int64_t const*) {}
  template <class Items>
  static void launch(cuda_stream_ref, std::int64_t, Items const&, std::int64_t const*) {}
};
struct no_kernels_with_teams : no_kernels {
  template <class F>
  static void launch_team(cuda_stream_ref, F const&, std::int64_t const*) {}
};

static_assert(matrix_device<cuda_training_device<no_kernels>> &&
              matrix_device<cuda_training_device<no_kernels>, double>);
static_assert(!team_device<cuda_training_device<no_kernels>> &&
              team_device<cuda_training_device<no_kernels_with_teams>>);

TEST(training_device, items_on_a_condition_run_where_it_holds) {
  std::int64_t sum = 0, word = 0;
  auto const add = [&](std::int64_t i) { sum += i; };
  on_condition<decltype(add)> const always{add, nullptr}, sometimes{add, &word};
  always(1);
  sometimes(10);
  EXPECT_EQ(sum, 1);
  word = 1;
  sometimes(10);
  EXPECT_EQ(sum, 11);
}

}  // namespace
}  // namespace shunt::tests::training_device_test
#endif

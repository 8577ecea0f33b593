#include "shunt/train/host_memory.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

#include "shunt/program/builder.hpp"

namespace shunt::tests::host_memory_test {
namespace {

program sizes(byte_count first, byte_count second) {
  program_builder b(2);
  for (rank_id const r : ids<rank_id>(2)) {
    b.buffer(r, first);
    b.buffer(r, second);
  }
  return std::move(b).finish();
}

TEST(host_memory, buffers_are_aligned_zeroed_and_as_large_as_declared) {
  host_memory memory(2);
  memory.fit(sizes(24, 8));
  for (rank_id const r : ids<rank_id>(2)) {
    EXPECT_EQ(memory(r, 0).size(), 24U);
    EXPECT_EQ(memory(r, 1).size(), 8U);
    EXPECT_EQ(memory(r, 0)[23], std::byte{0});
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory(r, 0).data()) % buffer_alignment, 0U);
  }
  EXPECT_TRUE(memory(0, 9).empty());
}

TEST(host_memory, growing_keeps_what_is_larger_and_fitting_does_not) {
  host_memory memory(2);
  memory.fit(sizes(24, 8));
  memory(0, 0)[20] = std::byte{7};
  memory.grow(sizes(16, 64));
  EXPECT_EQ(memory(0, 0).size(), 24U);
  EXPECT_EQ(memory(0, 0)[20], std::byte{7});
  EXPECT_EQ(memory(0, 1).size(), 64U);
  memory.fit(sizes(16, 0));
  EXPECT_EQ(memory(0, 0).size(), 16U);
  EXPECT_EQ(memory(0, 1).size(), 64U) << "a program that doesn't use a buffer leaves it";
}

TEST(host_memory, the_only_rank_has_memory) {
  host_memory memory(2, rank_id(1));
  memory.fit(sizes(24, 8));
  EXPECT_FALSE(memory.has(0));
  EXPECT_TRUE(memory(0, 0).empty());
  EXPECT_EQ(memory(1, 0).size(), 24U);
}

TEST(host_memory, a_step_is_taken_back_once) {
  host_memory memory(2);
  memory.fit(sizes(8, 8));
  memory(0, 0)[0] = std::byte{1};
  memory.keep(0, 0, 5);
  memory(0, 0)[0] = std::byte{2};
  memory.restore(0, 4);  // of another iteration
  EXPECT_EQ(memory(0, 0)[0], std::byte{2});
  memory.keep(0, 0, 6);
  memory(0, 0)[0] = std::byte{3};
  memory.restore(0, 6);
  EXPECT_EQ(memory(0, 0)[0], std::byte{2});
  memory(0, 0)[0] = std::byte{4};
  memory.restore(0, 6);
  EXPECT_EQ(memory(0, 0)[0], std::byte{4});
  memory.forget(0);
  EXPECT_EQ(memory(0, 0)[3], std::byte{0xff});
}

}  // namespace
}  // namespace shunt::tests::host_memory_test

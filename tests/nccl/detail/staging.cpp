#include "shunt/nccl/detail/staging.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/program/builder.hpp"

namespace shunt::tests::staging_test {
namespace {

using namespace detail;
using places = std::vector<std::int64_t>;

constexpr auto none = nccl_staging::none;

TEST(staging, memory_is_aligned_to_256_bytes) {
  EXPECT_EQ(nccl_staging::aligned(0), 0);
  EXPECT_EQ(nccl_staging::aligned(1), 256);
  EXPECT_EQ(nccl_staging::aligned(256), 256);
  EXPECT_EQ(nccl_staging::aligned(257), 512);
}

TEST(staging, conditional_and_buffered_messages_have_a_place) {
  program_builder b(2);
  b.send(0, 1, {0, 0, 300});
  b.receive(0, 1, {0, 0, 8});
  b.receive(0, 1, {0, 0, 8}, 0, {.condition = {1, 0, 8}});
  b.fill(0, {0, 0, 8}, {.condition = {1, 0, 8}});
  auto const buffered = stage(b.peek(), 0, true, float_order::of_nccl);
  EXPECT_EQ(buffered.place, (places{0, none, 512, none}));
  EXPECT_EQ(buffered.word, (places{0, 1, 2, 3}));
  EXPECT_EQ(buffered.bytes, 512 + 256);
  EXPECT_EQ(buffered.words, 4);
  EXPECT_EQ(stage(b.peek(), 0, false, float_order::of_nccl).place, (places{none, none, 0, none}));
}

TEST(staging, floats_that_the_group_folds_and_exchanges_have_a_place) {
  program_builder b(2);
  b.buffer(0, buffer_id{0}, 600);
  auto const both = b.group({0, 1});
  b.all_reduce(0, both, element::float32, reduction::sum, {0, 0, 400});
  b.all_reduce(0, both, element::int64, reduction::sum, {0, 0, 400});
  b.exchange(0, both, {0, 0, 600}, {1, 0, 16}, {2, 0, 600}, {3, 0, 16});
  auto const folded = stage(b.peek(), 0, false, float_order::of_the_group);
  EXPECT_EQ(folded.place, (places{0, none, 512}));  // 2 x (200 + 8) bytes are 416
  EXPECT_EQ(folded.bytes, 512 + 768 + 256);
  EXPECT_EQ(folded.overflow, (places{none, none, 3}));
  EXPECT_EQ(folded.words, 5);
  EXPECT_EQ(stage(b.peek(), 0, false, float_order::of_nccl).place, (places{none, none, 0}));
}

// NCCL may run a collective after a stop. What a program keeps from the last iteration survives it.
TEST(staging, what_is_reduced_in_a_persistent_buffer_has_a_place) {
  program_builder b(2);
  b.buffer(0, 0, 300, true);
  b.buffer(0, buffer_id{1}, 300);
  auto const both = b.group({0, 1});
  b.all_reduce(0, both, element::int64, reduction::sum, {0, 0, 296});
  b.all_reduce(0, both, element::int64, reduction::sum, {1, 0, 296});
  b.receive(0, 1, {0, 0, 300});
  EXPECT_EQ(stage(b.peek(), 0, false, float_order::of_the_group).place, (places{0, none, none}));
  auto const& list = b.peek().ranks[0];
  EXPECT_TRUE(works_aside(list, list.instructions[0]));
  EXPECT_FALSE(works_aside(list, list.instructions[1]));
}

}  // namespace
}  // namespace shunt::tests::staging_test

#include "shunt/lower/moe_iteration.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/core/error.hpp"
#include "shunt/solve/shards/cut_shards.hpp"

namespace shunt::tests::moe_iteration_test {
namespace {

/// Two layers of three experts on three ranks, with a slot, two slots and one slot.
expert_placement placed() {
  return {
      .layers = 2, .experts = 3, .first_slot = {0, 1, 3, 4}, .expert_of = {0, 1, 2, 0, 2, 2, 1, 0}};
}

moe_shape shape() {
  return {.layers = 2,
          .tokens = 10,
          .slot_capacity = 4,
          .token_bytes = 8,
          .hidden_bytes = 80,
          .kept_bytes = 16,
          .dense_bytes = 24,
          .sums = 5,
          .experts = {.experts = 3, .ranks = 3, .elements = 6}};
}

std::ptrdiff_t count(rank_program const& own, op_kind kind) {
  return std::ranges::count_if(own.instructions, [&](instruction const& i) {
    return i.code == opcode::compute && i.op.kind == kind;
  });
}

TEST(moe_iteration, a_part_holds_all_tokens_or_what_the_fullest_rank_takes) {
  auto s = shape();
  EXPECT_EQ(part_tokens(s, placed()), 8);  // two slots of 4
  s.tokens = 7;
  EXPECT_EQ(part_tokens(s, placed()), 7);
}

TEST(moe_iteration, ranks_have_thirteen_instructions_a_layer_and_those_of_the_collection) {
  auto const shards = uniform_shards{}(shape().experts).plan;
  auto const p = lower(shape(), placed(), shards, gradient_collection{});
  EXPECT_TRUE(check(p).empty());
  for (auto const& own : p.ranks) {
    EXPECT_GE(own.instructions.size(), 13U * 2 + 3);
    EXPECT_EQ(count(own, op_kind::forward), count(own, op_kind::backward));
    EXPECT_EQ(own.buffers[moe_buffers::dense], (buffer_info{24, true}));
    EXPECT_EQ(own.buffers[moe_buffers::outgoing].size, 3 * 8 * 8);  // ranks x tokens x bytes
    EXPECT_TRUE(std::ranges::all_of(own.instructions, [](auto const& i) { return i.lane == 0; }));
  }
}

TEST(moe_iteration, the_scatter_moves_weights_and_computes_nothing) {
  auto const shards = uniform_shards{}(shape().experts).plan;
  auto const p = lower(shape(), placed(), shards, weight_scatter{});
  EXPECT_TRUE(check(p).empty());
  for (auto const& own : p.ranks)
    EXPECT_TRUE(std::ranges::none_of(own.instructions, [](instruction const& i) {
      return i.code == opcode::compute || is_collective(i.code);
    }));
}

TEST(moe_iteration, sizes_that_cannot_be_are_named) {
  auto const shards = uniform_shards{}(shape().experts).plan;
  auto const field = [&](moe_shape const& s) {
    try {
      (void)lower(s, placed(), shards, gradient_collection{});
      return std::string();
    } catch (invalid_problem const& e) {
      return e.field();
    }
  };
  EXPECT_EQ(field(shape()), "");
  auto s = shape();
  s.tokens = 0;
  EXPECT_EQ(field(s), "tokens");
  s = shape();
  s.experts.experts = 4;
  EXPECT_NE(field(s), "");
}

}  // namespace
}  // namespace shunt::tests::moe_iteration_test

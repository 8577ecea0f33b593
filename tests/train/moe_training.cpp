#include "shunt/train/moe_training.hpp"

#include <gtest/gtest.h>

#include <string>

#include "shunt/core/error.hpp"

namespace shunt::tests::moe_training_test {
namespace {

template <class T>
std::string field_of(T const& broken) {
  try {
    validate(broken);
  } catch (invalid_problem const& e) {
    return e.field();
  }
  return "";
}

TEST(moe_training, names_what_is_broken) {
  EXPECT_EQ(field_of(moe_training{}), "");
  EXPECT_EQ(field_of(moe_training{.ranks = 0}), "ranks");
  EXPECT_EQ(field_of(moe_training{.ranks = 65537}), "ranks");
  EXPECT_EQ(field_of(moe_training{.slots_per_rank = 0}), "slots_per_rank");
  EXPECT_EQ(field_of(moe_training{.slots_per_rank = 1 << 20}), "slots_per_rank");
  EXPECT_EQ(field_of(moe_training{.tokens = 0}), "tokens");
  EXPECT_EQ(field_of(moe_training{.capacity = capacity_factor{.numerator = -1}}), "numerator");
  EXPECT_EQ(field_of(moe_training{.sources = source_capacity{.min_capacity = -1}}), "min_capacity");
  EXPECT_EQ(field_of(moe_training{.sources = source_capacity{.factor = {1, 0}}}), "denominator");
  EXPECT_EQ(field_of(moe_training{.copies = 0}), "copies");
  EXPECT_EQ(field_of(moe_training{.iterations = 0}), "iterations");
  EXPECT_EQ(field_of(moe_training{.ranks = 4, .only = rank_id(4)}), "only");
}

TEST(moe_training, names_a_size_that_is_broken) {
  EXPECT_EQ(field_of(moe_sizes{}), "");
  EXPECT_EQ(field_of(moe_sizes{.layers = 0}), "layers");
  EXPECT_EQ(field_of(moe_sizes{.experts = -1}), "experts");
  EXPECT_EQ(field_of(moe_sizes{.width = 0}), "width");
  EXPECT_EQ(field_of(moe_sizes{.dense = 0}), "dense");
  EXPECT_EQ(field_of(moe_sizes{.expert = -5}), "expert");
  EXPECT_EQ(field_of(moe_sizes{.kept = -1}), "kept");
  EXPECT_EQ(field_of(moe_sizes{.kept = std::int64_t{1} << 41}), "kept");
}

TEST(moe_training, says_what_programs_move) {
  moe_training t{.ranks = 4, .tokens = 10};
  t.collection.type = element::float16;
  auto const shape =
      shape_of({.layers = 2, .experts = 8, .width = 6, .dense = 50, .expert = 7}, t, 128, 2);
  EXPECT_EQ(shape.slot_capacity, 3);  // 40 tokens in 16 slots
  EXPECT_EQ((moe_training{.sources = source_capacity{}}.slot_capacity()), dropless);
  EXPECT_EQ(shape.token_bytes, 24);
  EXPECT_EQ(shape.hidden_bytes, 256);
  EXPECT_EQ(shape.kept_bytes, 128);
  EXPECT_EQ(shape.dense_bytes, 600);
  EXPECT_EQ(shape.sums, 52);
  EXPECT_EQ(shape.experts, (optimizer_state{.experts = 8,
                                            .ranks = 4,
                                            .elements = 7,
                                            .gradient_bytes = 2,
                                            .weight_bytes = 4,
                                            .state_bytes = 12}));
}

TEST(moe_training, balance_is_the_fullest_rank_over_the_mean) {
  moe_record const r{.loads = {10, 10, 30, 10}, .dropped = {4, 10}, .fullest = {8, 15}, .live = 2};
  EXPECT_DOUBLE_EQ(balance(r), (1.0 + 1.0) / 2);
  EXPECT_DOUBLE_EQ(balance({}), 0);
  EXPECT_DOUBLE_EQ(balance({.loads = {3, 3}, .dropped = {6}, .fullest = {0}, .live = 2}), 0);
}

TEST(phase_bytes, hold_where_the_plain_program_moves_what_the_formula_says) {
  EXPECT_TRUE((phase_bytes{.formula = 9, .counted = 9, .plain = 7, .deduplicated = 5}.holds()));
  EXPECT_FALSE((phase_bytes{.formula = 9, .counted = 8, .plain = 7, .deduplicated = 5}.holds()));
  EXPECT_FALSE((phase_bytes{.formula = 9, .counted = 9, .plain = 4, .deduplicated = 5}.holds()));
}

}  // namespace
}  // namespace shunt::tests::moe_training_test

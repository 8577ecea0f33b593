#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "shunt/io/detail/pytorch_table.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::pytorch_table_test {
namespace {

using namespace detail;

pytorch_table table_of(std::string const& text) {
  std::istringstream in(text);
  return pytorch_table(in, "x.csv");
}

TEST(pytorch_table, actions_are_found_by_stage_and_micro_batch) {
  auto table = table_of("0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n");
  table.place_actions();
  EXPECT_EQ(table.stages(), 2);
  EXPECT_EQ(table.microbatches(), 2);
  EXPECT_EQ(table.row_of(1), 1);
  EXPECT_EQ(table.of(1, 1).forward.index, 2);
  EXPECT_EQ(table.of(0, 1).gradient.index, 3);
  EXPECT_EQ(table.of(0, 1).weight.index, 3);  // a fused backward is both
  EXPECT_FALSE(table.first_transfer().has_value());
}

TEST(pytorch_table, what_is_missing_is_named) {
  EXPECT_EQ(thrown_by([] { table_of("0F0,0B0\n1F0\n").place_actions(); }),
            "x.csv row 2: has no backward of micro-batch 0 at stage 1, which row 1, column 1 "
            "computes");
  EXPECT_EQ(field_of([] { table_of("0F0,xyz\n").place_actions(); }), "x.csv row 1, column 2");
}

}  // namespace
}  // namespace shunt::tests::pytorch_table_test

#include <gtest/gtest.h>

#include <cstddef>

#include "shunt/io/pytorch_action.hpp"
#include "shunt/io/read_pytorch_csv.hpp"
#include "support/pytorch.hpp"

namespace shunt::tests::pytorch_action_test {
namespace {

TEST(pytorch_action, cells_are_refused_by_place_and_text) {
  EXPECT_EQ(refused_pytorch(""), "x.csv: is empty");
  EXPECT_EQ(refused_pytorch("0F0,0B0\n\n"), "x.csv row 2: has no action");
  EXPECT_EQ(refused_pytorch("0F0,2F0garbage\n"),
            "x.csv row 1, column 2: \"2F0garbage\" has more after its micro-batch");
  EXPECT_EQ(refused_pytorch("0F0 1,0B0\n"),
            "x.csv row 1, column 1: \"0F0 1\" has more after its micro-batch");
  EXPECT_EQ(refused_pytorch("0F0,0B\n"), "x.csv row 1, column 2: \"0B\" names no micro-batch");
  EXPECT_EQ(refused_pytorch("0F0,0B-1\n"), "x.csv row 1, column 2: \"0B-1\" names no micro-batch");
  EXPECT_EQ(refused_pytorch("F0\n"),
            "x.csv row 1, column 1: \"F0\" doesn't begin with a stage, as 2F0 does");
  EXPECT_EQ(refused_pytorch("-1F0\n"),
            "x.csv row 1, column 1: \"-1F0\" doesn't begin with a stage, as 2F0 does");
  EXPECT_EQ(refused_pytorch("0X0\n"),
            "x.csv row 1, column 1: \"0X0\" is no action that is known here");
  EXPECT_EQ(refused_pytorch("0f0\n"),
            "x.csv row 1, column 1: \"0f0\" is no action that is known here");
  EXPECT_EQ(
      refused_pytorch("0F0,0UNSHARD2\n"),
      "x.csv row 1, column 2: \"0UNSHARD2\" is of a stage as a whole and ends after its name");
  EXPECT_EQ(refused_pytorch("99999999999F0\n"),
            "x.csv row 1, column 1: \"99999999999F0\" doesn't begin with a stage, as 2F0 does");
  EXPECT_EQ(refused_pytorch("2147483647F0\n"),
            "x.csv row 1, column 1: \"2147483647F0\" doesn't begin with a stage, as 2F0 does");
  EXPECT_EQ(refused_pytorch("2147483646F2147483646\n"),
            "x.csv: has 1 computations for 2147483647 stages x 2147483647 micro-batches");
  EXPECT_EQ(refused_pytorch("'0F0',0B0\n"),
            "x.csv row 1, column 1: \"'0F0'\" doesn't begin with a stage, as 2F0 does");
  EXPECT_EQ(refused_pytorch("(0F0;0B0)OVERLAP\n"),
            "x.csv row 1, column 1: \"(0F0;0B0)OVERLAP\" is no overlap as (0F3;3B1)OVERLAP_F_B");
  EXPECT_EQ(
      refused_pytorch("(0F0;0F1)OVERLAP_F_B\n"),
      "x.csv row 1, column 1: \"(0F0;0F1)OVERLAP_F_B\" is no overlap as (0F3;3B1)OVERLAP_F_B");
  EXPECT_EQ(
      refused_pytorch("(0F0;0W1)OVERLAP_F_B\n"),
      "x.csv row 1, column 1: \"(0F0;0W1)OVERLAP_F_B\" is no overlap as (0F3;3B1)OVERLAP_F_B");
  EXPECT_EQ(
      refused_pytorch("(0F0;0B1;0B2)OVERLAP_F_B\n"),
      "x.csv row 1, column 1: \"(0F0;0B1;0B2)OVERLAP_F_B\" is no overlap as (0F3;3B1)OVERLAP_F_B");
  EXPECT_EQ(
      refused_pytorch("(0F0;0I1;0W2)OVERLAP_F_B\n"),
      "x.csv row 1, column 1: \"(0F0;0I1;0W2)OVERLAP_F_B\" is no overlap as (0F3;3B1)OVERLAP_F_B");
  EXPECT_EQ(refused_pytorch("()OVERLAP_F_B\n"),
            "x.csv row 1, column 1: \"\" doesn't begin with a stage, as 2F0 does");
  EXPECT_EQ(refused_pytorch("(0F0)OVERLAP_F_B\n"),
            "x.csv row 1, column 1: \"(0F0)OVERLAP_F_B\" is no overlap as (0F3;3B1)OVERLAP_F_B");
  EXPECT_EQ(refused_pytorch("(0F0;0B1x)OVERLAP_F_B\n"),
            "x.csv row 1, column 1: \"0B1x\" has more after its micro-batch");
  EXPECT_NE(
      refusal_or_nothing([] { static_cast<void>(read_pytorch_csv_file("/no/such/file.csv")); }),
      "");
  EXPECT_NE(refusal_or_nothing([] { static_cast<void>(read_pytorch_csv_file("/")); }), "");
}

TEST(pytorch_action, a_forward_overlaps_with_both_halves_of_a_backward) {
  pytorch_cell const pair = parse_pytorch_cell("(0F3;3B1)OVERLAP_F_B", "x");
  EXPECT_EQ(parse_pytorch_cell("(0F3;3I1;3W1)OVERLAP_F_B", "x"), pair);
  EXPECT_EQ(parse_pytorch_cell(" ( 0F3; 3I1 ;3W1 )OVERLAP_F_B", "x").second, pair.second);
  EXPECT_EQ(to_string(parse_pytorch_cell("(3I1;3W1;0F3)OVERLAP_F_B", "x")), "(3B1;0F3)OVERLAP_F_B");
}

TEST(pytorch_action, every_name_reads_as_it_prints) {
  for (std::size_t k = 0; k < detail::pytorch_names.size(); ++k) {
    pytorch_action a{.what = static_cast<pytorch_action::kind>(k), .stage = 12};
    if (!a.of_whole_stage()) a.microbatch = 30;
    EXPECT_EQ(parse_pytorch_action(to_string(a), "x"), a) << to_string(a);
  }
}

}  // namespace
}  // namespace shunt::tests::pytorch_action_test

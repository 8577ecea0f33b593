#include "shunt/io/load_series_csv.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "support/refusals.hpp"

namespace shunt::tests::load_series_csv_test {
namespace {

load_series read_text(std::string const& text, std::int32_t layers = 1) {
  std::istringstream in(text);
  return read_load_series_csv(in, "t.csv", layers);
}

TEST(load_series_csv, reads_windows_under_a_header) {
  load_series const two{.layers = 2,
                        .experts = 3,
                        .loads = {1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2},
                        .iterations = {5, 9}};
  EXPECT_EQ(read_text("iteration,layer,e0,e1,e2\n5,0,1,2,3\n5,1,4,5,6\n9,0,7,8,9\n9,1,0,1,2\n"),
            two);
  auto const later = read_text("run,layer,a,b\nx,3,1,2\nx,4,3,4\ny,3,5,6\ny,4,7,8\n");
  EXPECT_EQ(later.layers, 2);
  EXPECT_TRUE(later.iterations.empty());
  EXPECT_EQ(later.window(1)[3], 8);
}

TEST(load_series_csv, rows_without_a_header_make_windows_of_so_many_layers) {
  EXPECT_EQ(read_text("1,2\n3,4\n5,6\n7,8\n", 2),
            (load_series{.layers = 2, .experts = 2, .loads = {1, 2, 3, 4, 5, 6, 7, 8}}));
}

TEST(load_series_csv, refusals_name_row_column_and_value) {
  auto const refusal = [](std::string const& text) {
    return thrown_by([&] { (void)read_text(text, 2); });
  };
  EXPECT_EQ(refusal(""), "t.csv: is empty");
  EXPECT_EQ(refusal("layer,e0\n"), "t.csv: has no loads");
  EXPECT_EQ(refusal("e0,layer\n"), "t.csv row 1: names no expert after the layer");
  EXPECT_EQ(refusal("1,2\n3\n"), "t.csv row 2: has 1 values, the first row has 2");
  EXPECT_EQ(refusal("1,2\n-3,4\n"), "t.csv row 2, column 1: must be at least 0, is -3");
  EXPECT_EQ(refusal("1,2\n"), "t.csv row 1: ends within a window of 2 layers");
  EXPECT_EQ(refusal("layer,e0\n0,1\n2,1\n"), "t.csv row 3, column 1: must be layer 1, is 2");
  EXPECT_EQ(refusal("iteration,layer,e0\n4,0,1\n4,0,1\n"),
            "t.csv row 3, column 1: must be after iteration 4, is 4");
  EXPECT_EQ(refusal("4000000000000000000,4000000000000000000\n1,1\n"),
            "t.csv row 1, column 2: takes the sum of the row beyond 62 bits");
  EXPECT_THROW((void)read_load_series_csv_file("/no/such/file.csv"), invalid_problem);
}

TEST(load_series_csv, reads_what_is_written) {
  load_series const one{.layers = 2, .experts = 3, .loads = {1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2}};
  std::ostringstream out;
  write_load_series_csv(out, one);
  EXPECT_EQ(out.str(), "iteration,layer,e0,e1,e2\n0,0,1,2,3\n0,1,4,5,6\n1,0,7,8,9\n1,1,0,1,2\n");
  auto later = one;
  later.iterations = {5, 9};
  std::ostringstream again;
  write_load_series_csv(again, later);
  EXPECT_EQ(read_text(again.str()), later);
}

}  // namespace
}  // namespace shunt::tests::load_series_csv_test

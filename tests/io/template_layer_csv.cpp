#include "shunt/io/template_layer_csv.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "support/refusals.hpp"

namespace shunt::tests::template_layer_csv_test {
namespace {

std::vector<template_layer> read_text(std::string const& text) {
  std::istringstream in(text);
  return read_template_layer_csv(in, "t.csv");
}

TEST(template_layer_csv, reads_rows_under_names_or_not) {
  std::vector<template_layer> const two{{.forward = 1.5, .backward = 3},
                                        {.forward = 2, .backward = 4}};
  EXPECT_EQ(read_text("1.5,3\n2,4\n"), two);
  EXPECT_EQ(read_text("forward,backward\n1.5,3\n2,4\n"), two);
  EXPECT_EQ(read_text("forward,backward,parameters,activations\n1,2,30,4e1\n"),
            (std::vector<template_layer>{
                {.forward = 1, .backward = 2, .parameters = 30, .activations = 40}}));
}

TEST(template_layer_csv, refusals_name_row_column_and_value) {
  auto const refusal = [](std::string const& text) {
    return thrown_by([&] { (void)read_text(text); });
  };
  EXPECT_EQ(refusal(""), "t.csv: is empty");
  EXPECT_EQ(refusal("1,2\n\n"), "t.csv row 2: is empty");
  EXPECT_EQ(refusal("1\n"), "t.csv row 1: has 1 values, must have forward,backward or "
                            "forward,backward,parameters,activations");
  EXPECT_EQ(refusal("1,2\n1,2,3,4\n"), "t.csv row 2: has 4 values, the first row has 2");
  EXPECT_EQ(refusal("1,x\n"), "t.csv row 1, column 2: \"x\" is not a number");
  EXPECT_EQ(refusal("0,1\n"), "t.csv row 1, column 1: must be above 0 and at most 1e100, is 0");
  EXPECT_EQ(refusal("1,2,-1,0\n"), "t.csv row 1, column 3: must be at least 0, is -1");
  EXPECT_THROW((void)read_template_layer_csv_file("/no/such/file.csv"), invalid_problem);
}

}  // namespace
}  // namespace shunt::tests::template_layer_csv_test

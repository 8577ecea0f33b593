#include "shunt/io/layer_csv.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::layer_csv_test {
namespace {

std::vector<model_layer> read_text(std::string const& text) {
  std::istringstream in(text);
  return read_layer_csv(in, "l.csv");
}

std::string const header =
    "name,forward,backward_input,backward_weight,state_bytes,activation_bytes\n";

std::vector<model_layer> const two{{.name = "embedding",
                                    .forward = 1,
                                    .backward_input = 0,
                                    .backward_weight = 2,
                                    .state_bytes = 100,
                                    .activation_bytes = 7},
                                   {.name = "a,\"b\"",
                                    .forward = 3,
                                    .backward_input = 4,
                                    .backward_weight = 5,
                                    .state_bytes = 2000,
                                    .activation_bytes = 8}};

TEST(layer_csv, reads_layers) {
  EXPECT_EQ(read_text(header + "embedding,1,0,2,100,7\n\"a,\"\"b\"\"\",3,4,5,2e3,8\n"), two);
}

TEST(layer_csv, marks_blanks_line_ends_and_the_order_of_columns_change_nothing) {
  EXPECT_EQ(read_text("\xef\xbb\xbf"
                      "forward, name ,backward_input,backward_weight,activation_bytes,"
                      "\"state_bytes\"\r\n"
                      "1,embedding,0,2,7,100\r\n3 ,\"a,\"\"b\"\"\",4,5,8,2000"),
            two);
}

TEST(layer_csv, refusals_name_row_column_and_value) {
  auto const refusal = [](std::string const& text) {
    return thrown_by([&] { (void)read_text(text); });
  };
  EXPECT_EQ(refusal(""), "l.csv: is empty");
  EXPECT_EQ(refusal(header), "l.csv: has no layer");
  EXPECT_EQ(refusal("name,forward,backward_input,state_bytes,activation_bytes\n"),
            "l.csv row 1: has no column backward_weight");
  EXPECT_EQ(refusal("name,forwards\n"),
            "l.csv row 1, column 2: \"forwards\" is none of name, forward, backward_input, "
            "backward_weight, state_bytes, activation_bytes");
  EXPECT_EQ(refusal("name,forward,name\n"), "l.csv row 1, column 3: \"name\" is there twice");
  EXPECT_EQ(refusal(header + "a,1,2,3,4\n"), "l.csv row 2: has 5 values, the header 6");
  EXPECT_EQ(refusal(header + "\n"), "l.csv row 2: is empty");
  EXPECT_EQ(refusal(header + "a,1,2,3,4,5\nb,1,-2,3,4,5\n"),
            "l.csv row 3, column 3 (backward_input): must be at least 0, is -2");
  EXPECT_EQ(refusal(header + "a,1,2,x,4,5\n"),
            "l.csv row 2, column 4 (backward_weight): \"x\" is not a whole number");
  EXPECT_EQ(refusal(header + "a,1,,3,4,5\n"), "l.csv row 2, column 3 (backward_input): is empty");
  EXPECT_THROW((void)read_layer_csv_file("/no/such/file.csv"), invalid_problem);
}

TEST(layer_csv, times_of_layers_in_a_named_unit_are_rounded_to_nanoseconds) {
  auto const read_in = [](std::string const& unit, std::string const& forward) {
    std::istringstream in(header + "a," + forward + ",0,2,10,3\n");
    return read_layer_csv(in, "l.csv", time_unit_named(unit))[0];
  };
  auto const layer = read_in("us", "1.2346");
  EXPECT_EQ(layer.forward, 1'235);
  EXPECT_EQ(layer.backward_weight, 2'000);
  EXPECT_EQ(layer.state_bytes, 10);
  EXPECT_EQ(read_in("s", "0.5").forward, 500'000'000);
  EXPECT_EQ(read_in("ms", "3e-1").forward, 300'000);
  EXPECT_EQ(read_in("ns", "7.4").forward, 7);
  EXPECT_EQ(read_in("ticks", "7").forward, 7);
  auto const refusal = [&](std::string const& unit, std::string const& forward) {
    return thrown_by([&] { (void)read_in(unit, forward); });
  };
  EXPECT_EQ(refusal("minutes", "1"), "unit: \"minutes\" is none of ticks, s, ms, us, ns");
  EXPECT_EQ(refusal("us", "-1"),
            "l.csv row 2, column 2 (forward): must be at least 0 and below 2^61 ticks, is -1");
  EXPECT_EQ(refusal("us", "x"), "l.csv row 2, column 2 (forward): \"x\" is not a number");
  EXPECT_EQ(refusal("s", "1e300"),
            "l.csv row 2, column 2 (forward): must be at least 0 and below 2^61 ticks, is 1e300");
  EXPECT_NE(refusal("ticks", "1.5"), "");
}

}  // namespace
}  // namespace shunt::tests::layer_csv_test

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/io/failure_csv.hpp"
#include "shunt/problem/failure_trace.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::failure_csv_test {
namespace {

failure_trace read_text(std::string const& text) {
  std::istringstream in(text);
  return read_failure_csv(in, "t.csv");
}

failure_trace const small{.nodes = {"node1", "node7"},
                          .events = {{0, 0, false}, {0, 1, false}, {45, 0, true}, {45, 0, false}},
                          .end = 45};

TEST(failure_csv, reads_rows) {
  EXPECT_EQ(read_text("0,add,node1\n0,add,node7\n45,remove,node1\n45,add,node1\n"), small);
}

TEST(failure_csv, marks_blanks_quotes_and_line_ends_read_like_plain_rows) {
  EXPECT_EQ(read_text("\xef\xbb\xbf"
                      "0,add,node1\r\n0, add ,\"node7\"\r\n4.5e1,remove,node1\r\n45,add,node1"),
            small);
}

TEST(failure_csv, refusals_name_row_column_and_value) {
  auto const refusal = [](std::string const& text) {
    return thrown_by([&] { (void)read_text(text); });
  };
  EXPECT_EQ(refusal(""), "t.csv: is empty");
  EXPECT_EQ(refusal("0,add,a\n\n"), "t.csv row 2: is empty");
  EXPECT_EQ(refusal("0,add\n"), "t.csv row 1: has 2 values, wanted are time_ms,add|remove,node");
  EXPECT_EQ(refusal("time_ms,event,node\n"),
            "t.csv row 1, column 1: \"time_ms\" is not a whole number");
  EXPECT_EQ(refusal("-1,add,a\n"), "t.csv row 1, column 1: must be at least 0, is -1");
  EXPECT_EQ(refusal("5,add,a\n4,add,b\n"),
            "t.csv row 2, column 1: is at 4 ms, before 5 ms in the row in front of it");
  EXPECT_EQ(refusal("0,add,a\n1,drop,a\n"),
            "t.csv row 2, column 2: \"drop\" is neither add nor remove");
  EXPECT_EQ(refusal("0,,a\n"), "t.csv row 1, column 2: \"\" is neither add nor remove");
  EXPECT_EQ(refusal("0,add,\n"), "t.csv row 1, column 3: is empty");
  EXPECT_EQ(refusal("0,add,a\n1,add,a\n"),
            "t.csv row 2, column 3: \"a\" is added but there already");
  EXPECT_EQ(refusal("0,add,a\n1,remove,b\n"),
            "t.csv row 2, column 3: \"b\" is removed but not there");
  EXPECT_EQ(refusal("0,remove,a\n"), "t.csv row 1, column 3: \"a\" is removed but not there");
  EXPECT_EQ(refusal("0,a\td,a\n"), "t.csv row 1, column 2: \"a d\" is neither add nor remove");
  EXPECT_THROW((void)read_failure_csv_file("/no/such/file.csv"), invalid_problem);
}

TEST(failure_csv, live_counts_make_a_trace) {
  auto const read = [](std::string const& text) {
    std::istringstream in(text);
    return read_live_counts_csv(in, "t.csv");
  };
  EXPECT_EQ(read("hours,nodes\n0,3\n0.5,2\n1,2\n"),
            trace_of_counts({{0, 3}, {1'800'000, 2}, {3'600'000, 2}}));
  auto const refusal = [&](std::string const& text) {
    return thrown_by([&] { (void)read(text); });
  };
  EXPECT_EQ(refusal("0,3\n"), "t.csv: has less than two rows");
  EXPECT_EQ(refusal("0\n"), "t.csv row 1: has 1 values, wanted are hours,nodes");
  EXPECT_EQ(refusal("0,3\nx,2\n"),
            "t.csv row 2, column 1: \"x\" is no time from 0 to a million hours");
  EXPECT_EQ(refusal("0,3\n1,9999999\n"),
            "t.csv row 2, column 2: must be at most 1048576, is 9999999");
  EXPECT_EQ(refusal("1,3\n1,2\n"), "t.csv row 2, column 1: is not behind the row in front");
  EXPECT_THROW((void)read_live_counts_csv_file("/no/such/file.csv"), invalid_problem);
}

TEST(failure_csv, reads_the_recorded_traces) {
  std::string const folder = SHUNT_TEST_DATA "/failures/";
  auto const rows = [&](std::string const& name) {
    auto const trace = read_failure_csv_file(folder + name + ".csv");
    validate(trace);
    return trace.events.size();
  };
  EXPECT_EQ(rows("6h"), 45u);
  EXPECT_EQ(rows("1h"), 45u);
  EXPECT_EQ(rows("30m"), 45u);
  EXPECT_EQ(rows("10m"), 45u);
  EXPECT_EQ(rows("gcp"), 161u);
  EXPECT_EQ(rows("p3"), 299u);
}

}  // namespace
}  // namespace shunt::tests::failure_csv_test

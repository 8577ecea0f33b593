#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <sstream>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/io/csv.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::csv_test {
namespace {

integer_table read_text(std::string const& text,
                        std::int64_t least = std::numeric_limits<std::int64_t>::min()) {
  std::istringstream in(text);
  return read_csv(in, "loads.csv", least);
}

TEST(csv, reads_and_writes) {
  integer_table const table{3, {1, -2, 3, 4, 5, std::numeric_limits<std::int64_t>::max()}};
  EXPECT_EQ(read_text("1,-2,3\n4,5,9223372036854775807\n"), table);
  EXPECT_EQ(read_text(" 1,-2 ,\t3\r\n4,5,9223372036854775807"), table);
  std::ostringstream out;
  write_csv(out, table);
  EXPECT_EQ(read_text(out.str()), table);
  EXPECT_EQ(table.rows(), 2u);
  EXPECT_EQ(table.row(1)[0], 4);
}

TEST(csv, refusals_name_row_column_and_value) {
  auto const refusal = [](std::string const& text) -> std::string {
    try {
      static_cast<void>(read_text(text, 0));
      return "";
    } catch (invalid_problem const& error) {
      return error.what();
    }
  };
  EXPECT_EQ(refusal(""), "loads.csv: is empty");
  EXPECT_EQ(refusal("1,2\n\n3,4\n"), "loads.csv row 2: is empty");
  EXPECT_EQ(refusal("1,2\n3\n"), "loads.csv row 2: has 1 values, the first row has 2");
  EXPECT_EQ(refusal("1,2\n3,4,5\n"), "loads.csv row 2: has 3 values, the first row has 2");
  EXPECT_EQ(refusal("a\n"), "loads.csv row 1, column 1: \"a\" is not a whole number");
  EXPECT_EQ(refusal("1,b\n"), "loads.csv row 1, column 2: \"b\" is not a whole number");
  EXPECT_EQ(refusal("1,2.5\n"), "loads.csv row 1, column 2: \"2.5\" is not a whole number");
  EXPECT_EQ(refusal("1,2\n3,\n"), "loads.csv row 2, column 2: is empty");
  EXPECT_EQ(refusal("1,2\n3,-4\n"), "loads.csv row 2, column 2: must be at least 0, is -4");
  EXPECT_EQ(refusal("9223372036854775808\n"),
            "loads.csv row 1, column 1: 9223372036854775808 is beyond 64 bits");
  EXPECT_EQ(refusal(std::string("1\0,2\n", 5)),
            "loads.csv row 1, column 1: \"1 \" is not a whole number");
  EXPECT_THROW(static_cast<void>(read_csv_file("/no/such/file.csv")), invalid_problem);
  EXPECT_THROW(static_cast<void>(read_csv_file("/")), invalid_problem);
}

TEST(csv, marks_quotes_and_decimal_numbers_read_like_plain_ones) {
  integer_table const table{2, {24990, 120, 3, 4}};
  EXPECT_EQ(read_text("24990,120\n3,4\n"), table);
  EXPECT_EQ(read_text("\xef\xbb\xbf"
                      "24990,120\r\n3,4\r\n"),
            table);
  EXPECT_EQ(read_text("\"24990\",\"120\"\n\"3\", 4"), table);
  EXPECT_EQ(read_text("2.499000000000000000e+04,1.2e+02\n3.0,4\n"), table);
}

TEST(csv, a_header_and_what_is_no_text_are_named) {
  auto const refused = [](std::string const& text) {
    return thrown_by([&] { static_cast<void>(read_text(text, 0)); });
  };
  EXPECT_EQ(refused("layer_id,expert_id,count\n3,0,24990\n"),
            "loads.csv row 1: is a header that begins with \"layer_id\"; wanted are whole numbers "
            "alone, in rows of equal length");
  EXPECT_EQ(refused("\x1f\x8b"), "loads.csv: is compressed; unpack it first: gunzip -k loads.csv");
}

}  // namespace
}  // namespace shunt::tests::csv_test

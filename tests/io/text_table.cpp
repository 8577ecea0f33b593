#include "shunt/io/text_table.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace shunt::tests::text_table_test {
namespace {

std::string shown(text_table const& table) {
  std::ostringstream out;
  out << table;
  return out.str();
}

TEST(text_table, columns_are_as_wide_as_their_widest_cell) {
  text_table table;
  table.row({"", "a", "long name"});
  table.row({"first", fixed(1.5, 2), fixed(-10, 0)});
  table.row({"alone"});
  EXPECT_EQ(shown(table), "          a  long name\n"
                          "first  1.50        -10\n"
                          "alone\n");
}

TEST(text_table, columns_have_a_least_width) {
  text_table table(4, 6);
  table.row({"a", "b", "12345"});
  EXPECT_EQ(shown(table), "a        b  12345\n");
  EXPECT_EQ(shown(text_table(3, 3)), "");
}

TEST(text_table, numbers_keep_their_digits) {
  EXPECT_EQ(fixed(2, 3), "2.000");
  EXPECT_EQ(fixed(0.126, 2), "0.13");
  EXPECT_EQ(fixed(12345.6, 0), "12346");
}

}  // namespace
}  // namespace shunt::tests::text_table_test

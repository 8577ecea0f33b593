#include "report.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "cli.hpp"
#include "moe_system.hpp"
#include "shunt/core/error.hpp"

namespace example::tests::text_table_test {
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

TEST(moe_system, by_name) {
  auto const all = parse_moe_systems("--policy", "swift_moe,deepspeed,flexmoe-50");
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(names_of(all), (std::vector<std::string>{"swift_moe", "deepspeed", "flexmoe-50"}));
  EXPECT_EQ(named(all, "flexmoe-50").every, 50);
  EXPECT_EQ(named(all, "flexmoe-50").solver, "flexmoe");
  EXPECT_EQ(all[1].every, 0);
  EXPECT_TRUE(all[1].per_source);
  EXPECT_FALSE(all[0].per_source);
  for (auto const* const text : {"uniform", "flexmoe", "flexmoe-", "flexmoe-0", "flexmoe-1000001",
                                 "swift_moe,", ",deepspeed"})
    EXPECT_THROW(static_cast<void>(parse_moe_systems("--policy", text)), shunt::invalid_problem)
        << text;
}

}  // namespace
}  // namespace example::tests::text_table_test

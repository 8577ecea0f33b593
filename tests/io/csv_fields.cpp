#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "shunt/io/csv_fields.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::csv_fields_test {
namespace {

using texts = std::vector<std::string>;

texts fields(std::string line) {
  auto const found = csv_fields(line, "x.csv row 1");
  return {found.begin(), found.end()};
}
std::int64_t number(std::string const& field) { return parse_whole_number(field, "here"); }
std::string refused(std::string const& field) {
  return thrown_by([&] { static_cast<void>(parse_whole_number(field, "here", 0)); });
}

TEST(csv_fields, commas_blanks_and_quotes) {
  EXPECT_EQ(fields(""), texts{""});
  EXPECT_EQ(fields("a,,b,"), (texts{"a", "", "b", ""}));
  EXPECT_EQ(fields(" a b ,\tc\t"), (texts{"a b", "c"}));
  EXPECT_EQ(fields(R"("a","b,c", "d""e" ,"")"), (texts{"a", "b,c", "d\"e", ""}));
  EXPECT_EQ(fields(R"("""""",f)"), (texts{"\"\"", "f"}));
  EXPECT_EQ(fields(R"(a"b,c)"), (texts{"a\"b", "c"}));
  EXPECT_EQ(thrown_by([] { fields("a,\"b,c"); }),
            "x.csv row 1, column 2: begins with a quote that has no end");
  EXPECT_EQ(thrown_by([] { fields("\"a\"b,c"); }),
            "x.csv row 1, column 1: has more behind the end of its quotes");
}

TEST(csv_fields, numbers_that_are_whole_however_they_are_written) {
  EXPECT_EQ(number("24990"), 24990);
  EXPECT_EQ(number("2.499000000000000000e+04"), 24990);
  EXPECT_EQ(number("1.2E2"), 120);
  EXPECT_EQ(number("-3.0"), -3);
  EXPECT_EQ(number("7."), 7);
  EXPECT_EQ(number("1500e-2"), 15);
  EXPECT_EQ(number("0.000"), 0);
  EXPECT_EQ(number("-0e+99999999999999999999"), 0);
  EXPECT_EQ(number("9.223372036854775807e18"), 9223372036854775807);
  EXPECT_EQ(number("-9223372036854775808.0"), -9223372036854775807 - 1);
  EXPECT_EQ(number("9007199254740993.0"), 9007199254740993);  // no double has this value
}

TEST(csv_fields, what_is_no_whole_number_is_shown) {
  for (char const* text : {"2.5", "1e-1", "nan", "inf", "0x10", "+5", ".5", "1e", "1e+", "1 2", "-",
                           "1.2.3", "--1", "1e1e1"})
    EXPECT_EQ(refused(text), "here: \"" + std::string(text) + "\" is not a whole number");
  EXPECT_EQ(refused(""), "here: is empty");
  EXPECT_EQ(refused("-4.0"), "here: must be at least 0, is -4.0");
  EXPECT_EQ(refused("9223372036854775808.0"), "here: 9223372036854775808.0 is beyond 64 bits");
  EXPECT_EQ(refused("1e999999999999999999999"), "here: 1e999999999999999999999 is beyond 64 bits");
}

TEST(csv_fields, finite_numbers_and_fields_in_quotes) {
  EXPECT_EQ(finite_number("-1.5e2"), -150);
  for (auto const text : {"", "x", "1x", "inf", "nan", "1e999"})
    EXPECT_FALSE(finite_number(text).has_value()) << text;
  EXPECT_EQ(quoted_field("a\tb"), "\"a b\"");
  EXPECT_EQ(quoted_field(std::string(50, 'x')).size(), 42);
}

}  // namespace
}  // namespace shunt::tests::csv_fields_test

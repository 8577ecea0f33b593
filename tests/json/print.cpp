#include "shunt/json/print.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "shunt/core/id.hpp"

namespace shunt::tests::print_test {
namespace {

TEST(print, one_line_a_key_and_an_object_of_a_list) {
  nlohmann::ordered_json const object{{"b", 1},
                                      {"a", nlohmann::json::array({{{"x", 1}}, {{"x", 2}}})},
                                      {"empty", nlohmann::json::array()}};
  std::ostringstream out;
  print_json(out, object);
  EXPECT_EQ(nlohmann::ordered_json::parse(out.str()), object);
  EXPECT_EQ(
      out.str(),
      "{\n  \"b\": 1,\n  \"a\": [\n    {\"x\":1},\n    {\"x\":2}\n  ],\n  \"empty\": []\n}\n");
}

TEST(print, a_list_is_printed_item_by_item) {
  std::ostringstream out;
  json_printer printer(out);
  printer.field("a", {1, 2});
  printer.list("items", std::vector<int>{1, 2}, [&](int n) { out << "{\"n\":" << n << "}"; });
  printer.list("none", std::vector<int>{}, [](int) {});
  printer.end();
  EXPECT_EQ(out.str(), "{\n  \"a\": [1,2],\n  \"items\": [\n    {\"n\":1},\n    {\"n\":2}\n  ],\n"
                       "  \"none\": []\n}\n");
}

TEST(print, ids_are_numbers) {
  EXPECT_EQ(numbers_of(std::vector<rank_id>{2, 0}).dump(), "[2,0]");
  EXPECT_EQ(numbers_of(std::vector<rank_id>{}).dump(), "[]");
}

}  // namespace
}  // namespace shunt::tests::print_test

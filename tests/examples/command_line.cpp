// What the programs share at their edges: values of options, the one line of an error, the report's
// page.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli.hpp"
#include "json_lines.hpp"
#include "report.hpp"

namespace example::tests::command_line_test {
namespace {

template <class F>
std::string refusal(F&& f) {
  try {
    static_cast<void>(f());
    return "";
  } catch (shunt::invalid_problem const& error) {
    return error.what();
  }
}

TEST(command_line, lists) {
  EXPECT_EQ(parse_integers("--forward", "3"), (std::vector<std::int64_t>{3}));
  EXPECT_EQ(parse_integers("--forward", "3,-4,5"), (std::vector<std::int64_t>{3, -4, 5}));
  EXPECT_EQ(parse_workers("--dead", "1:2,0:11"), (std::vector<shunt::worker>{{1, 2}, {0, 11}}));
  EXPECT_TRUE(parse_workers("--dead", "").empty());
  auto const kills = parse_workers_at("--kill", "1:2@5,0:1@9");
  ASSERT_EQ(kills.size(), 2u);
  EXPECT_EQ(kills[1].who, (shunt::worker{0, 1}));
  EXPECT_EQ(kills[1].iteration, 9);
}

TEST(command_line, refusals_name_field_and_value) {
  EXPECT_EQ(refusal([] { return parse_integers("--forward", ""); }), "--forward: is empty");
  EXPECT_EQ(refusal([] { return parse_integers("--forward", "1,2,"); }),
            "--forward[2]: \"\" is not a whole number");
  EXPECT_EQ(refusal([] { return parse_integers("--forward", "0x10"); }),
            "--forward: \"0x10\" is not a whole number");
  EXPECT_EQ(refusal([] { return parse_integers("--forward", "1.5"); }),
            "--forward: \"1.5\" is not a whole number");
  EXPECT_EQ(refusal([] { return parse_integer("--n", "-99999999999999999999", 0); }),
            "--n: must be at least 0, is -99999999999999999999");
  EXPECT_EQ(refusal([] { return parse_integer("--n", "5", 0, 4); }),
            "--n: must be at most 4, is 5");
  EXPECT_EQ(refusal([] { return parse_workers("--dead", "1:2,3"); }),
            "--dead[1]: \"3\" is not pipeline:stage");
  EXPECT_EQ(refusal([] { return parse_workers("--dead", "1:"); }),
            "--dead[0] (stage): \"\" is not a whole number");
  EXPECT_EQ(refusal([] { return parse_workers("--dead", "1:-2"); }),
            "--dead[0] (stage): must be at least 0, is -2");
  EXPECT_EQ(refusal([] { return parse_workers_at("--kill", "1:2"); }),
            "--kill[0]: \"1:2\" is not pipeline:stage@iteration");
  EXPECT_EQ(refusal([] { return parse_workers_at("--kill", "1:2@-1"); }),
            "--kill[0] (iteration): must be at least 0, is -1");
}

TEST(command_line, errors_are_one_line_and_status_2) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(guarded([] { return 7; }), 7);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  testing::internal::CaptureStderr();
  EXPECT_EQ(guarded([]() -> int { throw std::runtime_error("two\nlines"); }), 2);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "error: two lines\n");
}

TEST(command_line, json_lines_are_json) {
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

TEST(report_page, escapes_text_and_keeps_pictures) {
  report page("a < b");
  page.section("R&D")
      .prose("<script>")
      .table({"<h>", "n"}, {{"\"q\"", "1"}, {"r", "2"}})
      .figure("<svg></svg>", "c > d");
  std::ostringstream out;
  out << page;
  auto const text = out.str();
  for (char const* part : {"<title>a &lt; b</title>", "<h2>R&amp;D</h2>", "<p>&lt;script&gt;</p>",
                           "<th>&lt;h&gt;</th><th>n</th>", "<td>&quot;q&quot;</td><td>1</td>",
                           "<figure><svg></svg><figcaption>c &gt; d</figcaption></figure>"})
    EXPECT_NE(text.find(part), std::string::npos) << part;
  for (char const* foreign : {"http://", "https://", "src=", "href=", "<script"})
    EXPECT_EQ(text.find(foreign), std::string::npos) << foreign;
}

}  // namespace
}  // namespace example::tests::command_line_test

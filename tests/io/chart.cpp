#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <regex>
#include <string>
#include <vector>

#include "shunt/io/chart.hpp"

#include "support/charts.hpp"
#include "support/text.hpp"

namespace shunt::tests::chart_test {
namespace {

TEST(chart, one_path_a_line_and_names_at_the_ends) {
  line_chart chart{.title = "loss", .x_label = "iteration", .y_label = "bits < bytes"};
  chart.lines = {{"a & b", {{0, 3}, {1, 2}, {2, 1}}}, {"c", {{0, 3}, {1, 2}, {2, 1}}, true}};
  chart.events = {{1, "1:2 lost"}, {99, "out of range"}};
  auto const text = svg(chart);
  EXPECT_EQ(count(text, "stroke-width=\"2\""), 4u);  // two lines, two samples beside their names
  EXPECT_EQ(count(text, ">a &amp; b</text>"), 1u);
  EXPECT_EQ(count(text, ">bits &lt; bytes</text>"), 1u);
  EXPECT_EQ(count(text, ">1:2 lost</text>"), 1u);
  EXPECT_EQ(count(text, "out of range"), 0u);
  static std::regex const name(R"re(y="([0-9.]+)"[^>]*>(a &amp; b|c)</text>)re");
  std::vector<double> heights;
  for (std::sregex_iterator i(text.begin(), text.end(), name), end; i != end; ++i)
    heights.push_back(std::stod((*i)[1]));
  ASSERT_EQ(heights.size(), 2u);
  EXPECT_GE(std::abs(heights[0] - heights[1]), 14);  // the lines coincide, their names don't
}

TEST(chart, what_cant_be_drawn_leaves_a_gap) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(count(svg(line_chart{.lines = {{"a", {{0, 1}, {1, nan}, {2, 1}, {3, 2}}}}}), "<circle"),
            1u);
  EXPECT_EQ(count(svg(line_chart{.lines = {{"a", {{1, -1}, {2, 0}}}}, .log_y = true}),
                  "stroke-width=\"2\""),
            0u);
  svg(line_chart{});
  svg(line_chart{.lines = {{"flat", {{5, 0}, {5, 0}}}}});
  svg(line_chart{.lines = {{"flat", {{5, 3}, {6, 3}}}}, .log_x = true, .log_y = true});
  line_chart many{.from_zero = true};
  for (int i = 0; i < 20; ++i)
    many.lines.push_back({"line " + std::to_string(i), {{0, i}, {1, i}}});
  EXPECT_EQ(count(svg(many), ">line 19</text>"), 1u);
}

}  // namespace
}  // namespace shunt::tests::chart_test

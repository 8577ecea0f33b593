#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <locale>
#include <regex>
#include <string>
#include <string_view>

#include "shunt/io/chart.hpp"
#include "shunt/io/drawing.hpp"
#include "shunt/io/gantt.hpp"
#include "shunt/io/svg.hpp"
#include "support/charts.hpp"
#include "support/text.hpp"

namespace shunt::tests::svg_test {
namespace {

TEST(svg, svg_shows_chunks_pairs_and_directions) {
  auto const v = svg_of(v_case{});
  EXPECT_EQ(count(v, "<title>"), 8u);
  EXPECT_EQ(count(v, ">chunk 0</text>"), 1u);
  EXPECT_EQ(count(v, ">chunk 1</text>"), 1u);
  EXPECT_EQ(count(v, ">overlapped pair</text>"), 1u);
  EXPECT_EQ(count(v, "fill=\"" + std::string(colour::sky) + "\"><title>forward"),
            4u);  // whole and half bars of the first chunk
  EXPECT_EQ(count(v, "forward of micro-batch 0:0 at stage 3, 3 to 4 ticks"), 1u);
  EXPECT_EQ(count(v, "height=\"11\""), 2u);  // two halves of a row of 24
  EXPECT_EQ(count(v, "height=\"22\" fill=\"" + std::string(colour::orange)), 0u);
  EXPECT_EQ(count(v, "re-routed"), 0u);
  auto const both = svg_of(both_case{});
  EXPECT_EQ(count(both, ">first rank to last</text>"), 1u);
  EXPECT_EQ(count(both, ">last rank to first</text>"), 1u);
  EXPECT_EQ(count(both, "re-routed"), 0u);
}

TEST(svg, tints_stay_apart) {
  for (std::string_view const fill :
       {colour::sky, colour::orange, colour::yellow, colour::green, colour::grey})
    for (std::int32_t chunk = 0; chunk < 4; ++chunk) {
      EXPECT_NE(detail::tinted(fill, chunk), detail::tinted(fill, chunk + 1));
      EXPECT_EQ(detail::tinted(fill, chunk).size(), 7u);
    }
  EXPECT_EQ(detail::tinted(colour::sky, 0), colour::sky);
  EXPECT_NE(detail::tinted(colour::sky, 100), colour::paper);
}

TEST(svg, every_operation_is_one_rectangle) {
  small_case const c;
  auto const text = svg(c.job, c.plan, c.table, gantt_style{.title = "a < b & \"c\""});
  EXPECT_EQ(count(text, "<title>"), 13u);  // one tip an operation
  EXPECT_EQ(count(text, "fill=\"" + std::string(colour::sky) + "\"><title>forward"), 4u);
  EXPECT_EQ(count(text, "fill=\"" + std::string(colour::orange) + "\"><title>backward of"), 2u);
  EXPECT_EQ(count(text, "fill=\"" + std::string(colour::pink) + "\"><title>step"), 3u);
  EXPECT_EQ(count(text, ">a &lt; b &amp; &quot;c&quot;</text>"), 1u);
  EXPECT_EQ(count(text, "re-routed from pipeline 1</text>"), 1u);
  EXPECT_EQ(count(text, ">1:0</text>"),
            4u);  // the row's label, and the three operations that moved
  EXPECT_EQ(count(text, ">dead</text>"), 2u);  // in its row and in the legend
  EXPECT_EQ(count(text, "time [ticks]"), 1u);
  EXPECT_NE(text.find("forward of micro-batch 1:0, 2 to 3 ticks"), std::string::npos);
}

TEST(svg, planned_and_measured_have_one_look) {
  small_case const c;
  auto measured = timeline_of(c.plan, c.table);
  measured.seconds_per_tick = 0.01;
  auto planned = svg(c.job, c.plan, c.table), real = svg(c.job, measured);
  EXPECT_EQ(count(real, "time [ms]"), 1u);
  // Without tips and axis the pictures are the same.
  auto const bare = [](std::string const& text) {
    return std::regex_replace(
        text,
        std::regex("<title>[^<]*</title>|time "
                   "\\[[a-zµ]*\\]|<path[^>]*#dddddd[^>]*>|<text[^>]*#666666[^\n]*"),
        "");
  };
  EXPECT_EQ(bare(planned), bare(real));
}

TEST(svg, empty_charts_and_many_rows) {
  svg(gantt{});
  svg(timeline{});
  gantt many;
  for (std::size_t r = 0; r < 300; ++r) {
    many.rows.push_back({.label = std::to_string(r)});
    many.bars.push_back(
        {.row = r, .start = static_cast<ticks>(r), .end = static_cast<ticks>(r) + 1});
  }
  many.end = std::int64_t{1} << 60;
  EXPECT_EQ(count(svg(many), "<title>forward"), 300u);
}

struct commas : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

TEST(svg, locale_changes_nothing) {
  small_case const c;
  line_chart const chart{.lines = {{"a", {{0, 1000.5}, {12345, 2.25}}}}};
  auto const before = svg(c.job, c.plan, c.table) + svg(chart);
  std::locale const old = std::locale::global(std::locale(std::locale(), new commas));
  auto const after = svg(c.job, c.plan, c.table) + svg(chart);
  std::locale::global(old);
  EXPECT_EQ(before, after);
}

}  // namespace
}  // namespace shunt::tests::svg_test

// What is drawn: structure of the SVG (every operation a rectangle, well-formed, escaped), text
// grids as goldens, traces, tables.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <locale>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/io.hpp"

namespace {

using namespace shunt;

std::size_t count(std::string const& text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + part.size()))
    ++n;
  return n;
}

/// Elements open and close in order, attributes are quoted, and text holds no bare markup: what XML
/// asks, as far as it is used here.
testing::AssertionResult well_formed(std::string const& xml) {
  static std::regex const tag(
      R"(^<(/?)([a-z]+)((?: [a-zA-Z0-9:-]+="[^"<&]*(?:&(?:amp|lt|gt|quot|#39);[^"<&]*)*")*)(/?)>)");
  std::vector<std::string> open;
  std::size_t at = 0, roots = 0;
  while (at < xml.size()) {
    if (xml[at] != '<') {
      if (xml[at] == '&' && !std::regex_search(xml.begin() + static_cast<std::ptrdiff_t>(at),
                                               xml.end(), std::regex("^&(amp|lt|gt|quot|#39);"),
                                               std::regex_constants::match_continuous))
        return testing::AssertionFailure() << "bare & at " << at;
      if (xml[at] == '>') return testing::AssertionFailure() << "bare > at " << at;
      if (static_cast<unsigned char>(xml[at]) < ' ' && xml[at] != '\n')
        return testing::AssertionFailure() << "control character at " << at;
      ++at;
      continue;
    }
    std::size_t const end = xml.find('>', at);
    if (end == std::string::npos) return testing::AssertionFailure() << "tag without end at " << at;
    std::string const text = xml.substr(at, end + 1 - at);
    std::smatch parts;
    if (!std::regex_match(text, parts, tag))
      return testing::AssertionFailure() << "broken tag " << text;
    if (parts[1].length() > 0) {
      if (open.empty() || open.back() != parts[2])
        return testing::AssertionFailure() << "unmatched " << text;
      open.pop_back();
    } else if (parts[4].length() == 0) {
      if (open.empty()) ++roots;
      open.push_back(parts[2]);
    }
    at = end + 1;
  }
  if (!open.empty() || roots != 1)
    return testing::AssertionFailure() << roots << " roots, " << open.size() << " left open";
  return testing::AssertionSuccess();
}

template <class... What>
std::string svg(What const&... what) {
  std::ostringstream out;
  write_svg(out, what...);
  EXPECT_TRUE(well_formed(out.str()));
  EXPECT_EQ(count(out.str(), "nan"), 0u);
  EXPECT_EQ(count(out.str(), "inf"), 0u);
  return out.str();
}

/// Two pipelines of two stages, one micro-batch each; 1:1 is dead and 0:1 computes for it.
struct small_case {
  pipeline_job job{
      .pipelines = 2, .stages = 2, .microbatches = 1, .costs = {.step = 2}, .dead = {{1, 1}}};
  pipeline_schedule plan{
      .order = {
          {{op_kind::forward, 0, 0, 0}, {op_kind::backward, 0, 0, 0}, {op_kind::step, 0, 0, 0}},
          {{op_kind::forward, 0, 1, 0},
           {op_kind::forward, 1, 1, 0},
           {op_kind::backward_input, 0, 1, 0},
           {op_kind::backward_input, 1, 1, 0},
           {op_kind::backward_weight, 0, 1, 0},
           {op_kind::backward_weight, 1, 1, 0},
           {op_kind::step, 0, 1, 0}},
          {{op_kind::forward, 1, 0, 0}, {op_kind::backward, 1, 0, 0}, {op_kind::step, 0, 0, 0}},
          {}}};
  timetable table{.times = {{{0, 1}, {4, 6}, {7, 9}},
                            {{1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}, {6, 7}, {7, 9}},
                            {{0, 1}, {5, 7}, {7, 9}},
                            {}}};
};

TEST(io_gantt, plan_becomes_rows_and_bars) {
  small_case const c;
  auto const chart = gantt_of(c.job, c.plan, c.table);
  ASSERT_EQ(chart.rows.size(), 4u);
  EXPECT_EQ(chart.rows[1].label, "0:1");
  EXPECT_EQ(chart.rows[3].label, "1:1");
  EXPECT_EQ(chart.rows[3].dead_from, 0);
  EXPECT_FALSE(chart.rows[0].dead_from.has_value());
  ASSERT_EQ(chart.bars.size(), 13u);
  EXPECT_EQ(
      std::count_if(chart.bars.begin(), chart.bars.end(), [](auto const& b) { return b.rerouted; }),
      3);
  EXPECT_EQ(chart.start, 0);
  EXPECT_EQ(chart.end, 9);
}

TEST(io_gantt, a_lost_worker_is_grey_after_its_last_event) {
  small_case const c;
  auto events = timeline_of(c.plan, c.table);
  events.events.push_back({.rank = 3, .op = {op_kind::forward, 1, 1, 0}, .start = 1, .end = 3});
  auto const chart = gantt_of(c.job, events);
  EXPECT_EQ(chart.rows[3].dead_from, 3);
  EXPECT_FALSE(chart.bars.back().rerouted);
}

TEST(io_gantt, iterations_are_cut_out) {
  small_case const c;
  auto all = timeline_of(c.plan, c.table, 4);
  auto const next = timeline_of(c.plan, c.table, 5);
  all.events.insert(all.events.end(), next.events.begin(), next.events.end());
  EXPECT_EQ(iterations_of(all, 5, 9), next);
  EXPECT_EQ(iterations_of(all, 4, 5).events.size(), 26u);
  EXPECT_TRUE(iterations_of(all, 6, 9).events.empty());
}

TEST(io_gantt, transfers_only_when_asked) {
  timeline events;
  events.events.push_back({.rank = 2, .code = opcode::receive, .start = 0, .end = 5});
  events.events.push_back({.rank = 2, .start = 5, .end = 6});
  EXPECT_EQ(gantt_of(events).bars.size(), 1u);
  EXPECT_EQ(gantt_of(events).start, 5);
  EXPECT_EQ(gantt_of(events, true).bars.size(), 2u);
  EXPECT_EQ(gantt_of(events, true).start, 0);
  EXPECT_EQ(gantt_of(events).rows[0].label, "rank 2");
}

TEST(io_svg, every_operation_is_one_rectangle) {
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

TEST(io_svg, planned_and_measured_have_one_look) {
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

TEST(io_svg, empty_charts_and_many_rows) {
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

TEST(io_svg, locale_changes_nothing) {
  small_case const c;
  line_chart const chart{.lines = {{"a", {{0, 1000.5}, {12345, 2.25}}}}};
  auto const before = svg(c.job, c.plan, c.table) + svg(chart);
  std::locale const old = std::locale::global(std::locale(std::locale(), new commas));
  auto const after = svg(c.job, c.plan, c.table) + svg(chart);
  std::locale::global(old);
  EXPECT_EQ(before, after);
}

TEST(io_chart, one_path_a_line_and_names_at_the_ends) {
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

TEST(io_chart, what_cant_be_drawn_leaves_a_gap) {
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

TEST(io_chart, axes_count_in_round_steps) {
  auto const texts = [](axis const& a, int n) {
    std::string all;
    for (auto const& [value, text] : a.marks(n)) all += text + " ";
    return all;
  };
  EXPECT_EQ(texts(axis(0, 27, 0, 1), 6), "0 5 10 15 20 25 ");
  EXPECT_EQ(texts(axis(0, 1, 0, 1), 5), "0 0.2 0.4 0.6 0.8 1 ");
  EXPECT_EQ(texts(axis(-0.003, 0.003, 0, 1), 3), "-0.002 0 0.002 ");
  EXPECT_EQ(texts(axis(1, 1000, 0, 1, true), 4), "1 10 100 1000 ");
  EXPECT_EQ(texts(axis(0, 3e9, 0, 1), 3), "0 1e9 2e9 3e9 ");
  EXPECT_DOUBLE_EQ(axis(0, 10, 100, 200)(2.5), 125);
  EXPECT_DOUBLE_EQ(axis(1, 100, 200, 100, true)(10), 150);
}

TEST(io_heat_map, equal_neighbours_are_one_rectangle) {
  heat_map const map{
      .title = "load",
      .columns = 4,
      .values = {0, 0, 1, 1, 0.5, 0.5, 0.5, std::numeric_limits<double>::quiet_NaN()}};
  auto const text = svg(map);
  EXPECT_EQ(count(text, "<rect"), 1u + 4u + 64u);  // paper, cells, scale
  EXPECT_EQ(count(text, "fill=\"" + std::string(colour::grid) + "\""), 1u);
  EXPECT_EQ(shade(0), "#440154");
  EXPECT_EQ(shade(1), "#fde725");
  svg(heat_map{});
}

TEST(io_text_grid, golden) {
  small_case const c;
  std::ostringstream out;
  write_text(out, gantt_of(c.job, c.plan, c.table));
  EXPECT_EQ(out.str(), "time |0                        5                   |\n"
                       " 0:0 |F0---...............B0--------.....S---------|\n"
                       " 0:1 |.....F0---F1:0-I0---I1:0-W0---W1:0-S---------|\n"
                       " 1:0 |F0---....................B0--------S---------|\n"
                       " 1:1 |xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx|\n");
}

TEST(io_text_grid, narrow_ones_fit) {
  small_case const c;
  auto const chart = gantt_of(c.job, c.plan, c.table);
  std::ostringstream nine, three;
  write_text(nine, chart, 9);
  EXPECT_EQ(nine.str(), "time |0        |\n"
                        " 0:0 |F...B0.S-|\n"
                        " 0:1 |.FFIIWWS-|\n"
                        " 1:0 |F....B0S-|\n"
                        " 1:1 |xxxxxxxxx|\n");
  write_text(three, chart, 3);
  EXPECT_EQ(count(three.str(), "\n"), 5u);
  for (std::int64_t width = 1; width < 60; ++width) {
    std::ostringstream out;
    write_text(out, chart, width);
    EXPECT_LE(out.str().find('\n'), static_cast<std::size_t>(std::max<std::int64_t>(width, 1)) + 7)
        << width;
  }
}

TEST(io_chrome_trace, true_durations_in_microseconds) {
  timeline events{.seconds_per_tick = 1e-9};
  events.events.push_back({.rank = 1,
                           .iteration = 2,
                           .instruction = 3,
                           .op = {op_kind::forward, 4, 5, 6},
                           .start = 1500,
                           .end = 4250});
  events.events.push_back({.rank = 1,
                           .iteration = 2,
                           .instruction = 4,
                           .code = opcode::send,
                           .start = 4000,
                           .end = 5000});
  std::ostringstream out;
  write_trace(out, events, {.rank_names = {"zero", "the \"one\""}});
  EXPECT_EQ(out.str(), "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n"
                       "{\"name\": \"forward 4:6\", \"cat\": \"compute\", \"ph\": \"X\", \"ts\": "
                       "1.5, \"dur\": 2.75, \"pid\": 0, \"tid\": 1, "
                       "\"args\": {\"iteration\": 2, \"instruction\": 3, \"stage\": 5, "
                       "\"pipeline\": 4, \"microbatch\": 6}},\n"
                       "{\"name\": \"send\", \"cat\": \"transfer\", \"ph\": \"X\", \"ts\": 4, "
                       "\"dur\": 1, \"pid\": 0, \"tid\": 3, "
                       "\"args\": {\"iteration\": 2, \"instruction\": 4}},\n"
                       "{\"name\": \"thread_name\", \"ph\": \"M\", \"pid\": 0, \"tid\": 1, "
                       "\"args\": {\"name\": \"the \\\"one\\\"\"}},\n"
                       "{\"name\": \"thread_sort_index\", \"ph\": \"M\", \"pid\": 0, \"tid\": 1, "
                       "\"args\": {\"sort_index\": 0}},\n"
                       "{\"name\": \"thread_name\", \"ph\": \"M\", \"pid\": 0, \"tid\": 3, "
                       "\"args\": {\"name\": \"the \\\"one\\\" (2)\"}},\n"
                       "{\"name\": \"thread_sort_index\", \"ph\": \"M\", \"pid\": 0, \"tid\": 3, "
                       "\"args\": {\"sort_index\": 1}}\n"
                       "]}\n");
}

integer_table read_text(std::string const& text,
                        std::int64_t least = std::numeric_limits<std::int64_t>::min()) {
  std::istringstream in(text);
  return read_csv(in, "loads.csv", least);
}

TEST(io_csv, reads_and_writes) {
  integer_table const table{3, {1, -2, 3, 4, 5, std::numeric_limits<std::int64_t>::max()}};
  EXPECT_EQ(read_text("1,-2,3\n4,5,9223372036854775807\n"), table);
  EXPECT_EQ(read_text(" 1,-2 ,\t3\r\n4,5,9223372036854775807"), table);
  std::ostringstream out;
  write_csv(out, table);
  EXPECT_EQ(read_text(out.str()), table);
  EXPECT_EQ(table.rows(), 2u);
  EXPECT_EQ(table.row(1)[0], 4);
}

TEST(io_csv, refusals_name_row_column_and_value) {
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
  EXPECT_EQ(refusal("a,b\n"), "loads.csv row 1, column 1: \"a\" is not a whole number");
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

}  // namespace

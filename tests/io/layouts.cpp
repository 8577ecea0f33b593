// Charts of ranks that hold several stages: labels, chunks, both directions, overlapped pairs,
// arrows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <sstream>
#include <string>
#include <string_view>

#include "shunt/io/chrome_trace.hpp"
#include "shunt/io/gantt.hpp"
#include "shunt/io/svg.hpp"
#include "shunt/io/text_grid.hpp"

namespace {

using namespace shunt;

std::size_t count(std::string const& text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + part.size()))
    ++n;
  return n;
}

/// A V on two ranks, two micro-batches; rank 1 overlaps a forward of its first chunk with a
/// backward of its second one.
struct v_case {
  pipeline_job job{.stages = 4,
                   .microbatches = 2,
                   .costs = {.overlap_gain = 1},
                   .layout = stage_layout::v_shaped()};
  pipeline_schedule plan{.order = {{{op_kind::forward, 0, 0, 0},
                                    {op_kind::forward, 0, 0, 1},
                                    {op_kind::forward, 0, 3, 0},
                                    {op_kind::backward, 0, 3, 0}},
                                   {{op_kind::forward, 0, 1, 0},
                                    {op_kind::forward, 0, 2, 0},
                                    {op_kind::forward, 0, 1, 1},
                                    {op_kind::backward, 0, 2, 0}}},
                         .overlapped = {{}, {2}}};
  timetable table{.times = {{{0, 1}, {1, 2}, {3, 4}, {4, 6}}, {{1, 2}, {2, 3}, {6, 8}, {6, 8}}}};
};
/// Both directions on two ranks, one micro-batch each, forwards alone.
struct both_case {
  pipeline_job job{
      .pipelines = 2, .stages = 2, .microbatches = 1, .layout = stage_layout::bidirectional()};
  pipeline_schedule plan{.order = {{{op_kind::forward, 0, 0, 0}, {op_kind::forward, 1, 1, 0}},
                                   {{op_kind::forward, 1, 0, 0}, {op_kind::forward, 0, 1, 0}}}};
  timetable table{.times = {{{0, 1}, {1, 2}}, {{0, 1}, {1, 2}}}};
};

template <class Case>
std::string text_of(Case const& c) {
  std::ostringstream out;
  write_text(out, gantt_of(c.job, c.plan, c.table));
  return out.str();
}
template <class Case>
std::string svg_of(Case const& c) {
  std::ostringstream out;
  write_svg(out, c.job, c.plan, c.table);
  return out.str();
}

TEST(io_layouts, rows_name_what_a_rank_holds) {
  auto const labels = [](pipeline_job const& job) {
    std::string all;
    for (auto const& row : gantt_of(job, timeline{}).rows) all += row.label + "|";
    return all;
  };
  EXPECT_EQ(labels({.pipelines = 2, .stages = 2}), "0:0|0:1|1:0|1:1|");
  EXPECT_EQ(labels({.stages = 4, .layout = stage_layout::looped(2)}),
            "rank 0: stages 0, 2|rank 1: stages 1, 3|");
  EXPECT_EQ(labels({.stages = 4, .layout = stage_layout::v_shaped()}),
            "rank 0: stages 0, 3|rank 1: stages 1, 2|");
  EXPECT_EQ(labels({.pipelines = 2, .stages = 2, .layout = stage_layout::v_shaped()}),
            "rank 0: 0:0, 0:1|rank 1: 1:0, 1:1|");
  EXPECT_EQ(labels({.pipelines = 2, .stages = 2, .layout = stage_layout::bidirectional()}),
            "rank 0: 0:0, 1:1|rank 1: 0:1, 1:0|");
  EXPECT_EQ(labels({.stages = 6, .layout = stage_layout::looped(6)}),
            "rank 0: stages 0, 1, 2, 3 + 2|");
  EXPECT_EQ(labels({.stages = 3, .layout = stage_layout::custom({1, 0, 1})}),
            "0:1|rank 1: stages 0, 2|");
}

TEST(io_layouts, bars_know_their_chunk_and_their_pair) {
  v_case const c;
  auto const chart = gantt_of(c.job, c.plan, c.table);
  ASSERT_EQ(chart.bars.size(), 8u);
  EXPECT_EQ(chart.bars[1].chunk, 0);
  EXPECT_EQ(chart.bars[2].chunk, 1);
  EXPECT_EQ(chart.bars[5].chunk, 1);
  EXPECT_EQ(
      std::count_if(chart.bars.begin(), chart.bars.end(), [](auto const& b) { return b.rerouted; }),
      0);
  EXPECT_EQ(chart.bars[5].part, gantt::bar::share::whole);
  EXPECT_EQ(chart.bars[6].part, gantt::bar::share::first);
  EXPECT_EQ(chart.bars[7].part, gantt::bar::share::second);
  auto const events = gantt_of(timeline_of(c.plan, c.table));  // without a job pairs are seen, too
  EXPECT_EQ(events.bars[7].part, gantt::bar::share::second);
  EXPECT_FALSE(chart.bidirectional);
}

TEST(io_layouts, rerouted_chunks) {
  pipeline_job const job{.pipelines = 2,
                         .stages = 4,
                         .microbatches = 1,
                         .dead = {{1, 0}},
                         .layout = stage_layout::v_shaped()};
  timeline events;
  events.events.push_back({.rank = 0, .op = {op_kind::forward, 1, 3, 0}, .start = 0, .end = 1});
  auto const chart = gantt_of(job, events);
  EXPECT_TRUE(chart.bars[0].rerouted);
  EXPECT_EQ(chart.bars[0].chunk, 1);
  EXPECT_EQ(chart.rows[2].dead_from, 0);
  EXPECT_FALSE(chart.rows[3].dead_from.has_value());
}

TEST(io_layouts, svg_shows_chunks_pairs_and_directions) {
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

TEST(io_layouts, tints_stay_apart) {
  for (std::string_view const fill :
       {colour::sky, colour::orange, colour::yellow, colour::green, colour::grey})
    for (std::int32_t chunk = 0; chunk < 4; ++chunk) {
      EXPECT_NE(detail::tinted(fill, chunk), detail::tinted(fill, chunk + 1));
      EXPECT_EQ(detail::tinted(fill, chunk).size(), 7u);
    }
  EXPECT_EQ(detail::tinted(colour::sky, 0), colour::sky);
  EXPECT_NE(detail::tinted(colour::sky, 100), colour::paper);
}

TEST(io_layouts, text_grids) {
  EXPECT_EQ(text_of(v_case{}), "               time |0                   5           |\n"
                               "rank 0: stages 0, 3 |F0--F1--....F0b-B0b-----........|\n"
                               "rank 1: stages 1, 2 |....F0--F0b-............F1+B0b--|\n");
  EXPECT_EQ(text_of(both_case{}), "            time |0         |\n"
                                  "rank 0: 0:0, 1:1 |F0---F1:0-|\n"
                                  "rank 1: 0:1, 1:0 |F1:0-F0---|\n");
}

TEST(io_layouts, arrows_follow_activations_and_gradients) {
  auto const trace = [](timeline const& events) {
    std::ostringstream out;
    write_trace(out, events);
    return out.str();
  };
  v_case const c;
  auto const text = trace(timeline_of(c.plan, c.table));
  // Forwards 0 -> 1, 0 -> 1 of the other micro-batch, 2 -> 3; gradient 3 -> 2; not 1 -> 2, which
  // stays on its rank.
  EXPECT_EQ(count(text, "\"ph\": \"s\""), 4u);
  EXPECT_EQ(count(text, "\"ph\": \"f\", \"bp\": \"e\""), 4u);
  EXPECT_EQ(count(text, "\"name\": \"gradient\""), 2u);
  EXPECT_NE(text.find("{\"name\": \"activation\", \"cat\": \"flow\", \"ph\": \"s\", \"id\": 1, "
                      "\"ts\": 0.999, \"pid\": 0, \"tid\": 0},\n"
                      "{\"name\": \"activation\", \"cat\": \"flow\", \"ph\": \"f\", \"bp\": \"e\", "
                      "\"id\": 1, \"ts\": 1, \"pid\": 0, \"tid\": 1}"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\"tid\": 3, \"args\": {\"name\": \"rank 1 (2)\"}"),
            std::string::npos);  // the pair's second operation
  // An iteration that ran again: the arrow comes from the run in time.
  timeline again;
  for (ticks const t : {0, 10})
    again.events.push_back(
        {.rank = 0, .op = {op_kind::forward, 0, 0, 0}, .start = t, .end = t + 5});
  again.events.push_back({.rank = 1, .op = {op_kind::forward, 0, 1, 0}, .start = 7, .end = 9});
  again.events.push_back({.rank = 1, .op = {op_kind::forward, 0, 1, 0}, .start = 15, .end = 16});
  auto const twice = trace(again);
  EXPECT_EQ(count(twice, "\"ph\": \"s\""), 2u);
  EXPECT_NE(twice.find("\"id\": 0, \"ts\": 4.999"), std::string::npos);
  EXPECT_NE(twice.find("\"id\": 1, \"ts\": 14.999"), std::string::npos);
}

}  // namespace

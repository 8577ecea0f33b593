#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <string>

#include "shunt/io/chrome_trace.hpp"
#include "shunt/io/gantt.hpp"
#include "shunt/io/svg.hpp"
#include "shunt/io/text_grid.hpp"
#include "shunt/measure/redundant_times.hpp"
#include "shunt/solve/pipeline/redundant_forward.hpp"
#include "support/charts.hpp"
#include "support/text.hpp"

namespace shunt::tests::gantt_test {
namespace {

TEST(gantt, rows_name_what_a_rank_holds) {
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

TEST(gantt, bars_know_their_chunk_and_their_pair) {
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

TEST(gantt, rerouted_chunks) {
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

TEST(gantt, arrows_follow_activations_and_gradients) {
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

TEST(gantt, plan_becomes_rows_and_bars) {
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

TEST(gantt, a_steady_state_repeats_after_a_period) {
  small_case const c;
  auto const one = timeline_of(c.plan, c.table);
  auto const two = steady_timeline(c.plan, c.table, 20, 2);
  ASSERT_EQ(two.events.size(), 2 * one.events.size());
  EXPECT_EQ(two.events[3], one.events[3]);
  auto const& again = two.events[one.events.size() + 3];
  EXPECT_EQ(again.iteration, 1);
  EXPECT_EQ(again.op, one.events[3].op);
  EXPECT_EQ(again.start, one.events[3].start + 20);
  EXPECT_EQ(again.end, one.events[3].end + 20);
}

TEST(gantt, a_lost_worker_is_grey_after_its_last_event) {
  small_case const c;
  auto events = timeline_of(c.plan, c.table);
  events.events.push_back({.rank = 3, .op = {op_kind::forward, 1, 1, 0}, .start = 1, .end = 3});
  auto const chart = gantt_of(c.job, events);
  EXPECT_EQ(chart.rows[3].dead_from, 3);
  EXPECT_FALSE(chart.bars.back().rerouted);
}

TEST(gantt, iterations_are_cut_out) {
  small_case const c;
  auto all = timeline_of(c.plan, c.table, 4);
  auto const next = timeline_of(c.plan, c.table, 5);
  all.events.insert(all.events.end(), next.events.begin(), next.events.end());
  EXPECT_EQ(iterations_of(all, 5, 9), next);
  EXPECT_EQ(iterations_of(all, 4, 5).events.size(), 26u);
  EXPECT_TRUE(iterations_of(all, 6, 9).events.empty());
}

TEST(bamboo_gantt, redundant_forwards_stand_where_they_run) {
  pipeline_job const job{.stages = 3, .microbatches = 2};
  auto const plan = redundant_forward{}(job).plan;
  auto const table = times(job, plan);
  auto const chart = gantt_of(job, timeline_of(plan, table));
  auto const redundant = [](auto const& b) { return b.redundant; };
  EXPECT_EQ(std::count_if(chart.bars.begin(), chart.bars.end(), redundant), 4);
  EXPECT_TRUE(
      std::none_of(chart.bars.begin(), chart.bars.end(), [](auto const& b) { return b.rerouted; }));
  std::ostringstream grid, picture;
  write_text(grid, chart);
  EXPECT_EQ(grid.str(), "time |0              5              10    |\n"
                        " 0:0 |F0-F1-R0-............B0----R1-B1----|\n"
                        " 0:1 |...F0-F1-R0-...B0----R1-B1----......|\n"
                        " 0:2 |......F0-B0----F1-B1----............|\n");
  write_svg(picture, chart);
  EXPECT_EQ(count(picture.str(), "redundant forward, of the next stage"), 1u);
  EXPECT_EQ(count(picture.str(), "forward of micro-batch 0:0 at stage 1, 2 to 3 ticks"), 1u);
  auto broken = table;
  broken.redundant[0].pop_back();
  EXPECT_THROW((void)timeline_of(plan, broken), std::invalid_argument);
}

TEST(gantt, transfers_only_when_asked) {
  timeline events;
  events.events.push_back({.rank = 2, .code = opcode::receive, .start = 0, .end = 5});
  events.events.push_back({.rank = 2, .start = 5, .end = 6});
  EXPECT_EQ(gantt_of(events).bars.size(), 1u);
  EXPECT_EQ(gantt_of(events).start, 5);
  EXPECT_EQ(gantt_of(events, true).bars.size(), 2u);
  EXPECT_EQ(gantt_of(events, true).start, 0);
  EXPECT_EQ(gantt_of(events).rows[0].label, "rank 2");
}

}  // namespace
}  // namespace shunt::tests::gantt_test

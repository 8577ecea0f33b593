#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/problem/failure_trace.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::failure_trace_test {
namespace {

failure_trace small() {
  return {.nodes = {"a", "b", "c"},
          .events = {{0, 0, false},
                     {0, 1, false},
                     {1000, 2, false},
                     {1500, 0, true},
                     {1500, 1, true},
                     {1500, 0, false},
                     {4000, 0, true}},
          .end = 5000};
}

TEST(failure_trace, intervals_by_hand) {
  std::vector<live_interval> const all{
      {.begin = 0, .end = 1000, .live = {0, 1}, .event = 1},
      {.begin = 1000, .end = 1500, .live = {0, 1, 2}, .added = true, .event = 2},
      {.begin = 1500, .end = 4000, .live = {0, 2}, .removed = true, .added = true, .event = 5},
      {.begin = 4000, .end = 5000, .live = {2}, .removed = true, .event = 6}};
  EXPECT_EQ(live_intervals(small()), all);
  auto cut = small();
  cut.end = 4000;  // an event at the end has no time left
  EXPECT_EQ(live_intervals(cut), (std::vector(all.begin(), all.begin() + 3)));
  EXPECT_TRUE(live_intervals({.nodes = {"a"}, .events = {{7, 0, false}}, .end = 7}).empty());
}

TEST(failure_trace, refusals_name_event_and_value) {
  auto const refusal = [](auto const& change) {
    auto trace = small();
    change(trace);
    return thrown_by([&] { (void)live_intervals(trace); });
  };
  EXPECT_EQ(refusal([](auto& t) { t.events.clear(); }), "events: is empty");
  EXPECT_EQ(refusal([](auto& t) { t.events[2].milliseconds = 1600; }),
            "events[3]: is at 1500 ms, before 1600 ms");
  EXPECT_EQ(refusal([](auto& t) { t.events[0].milliseconds = -1; }),
            "events[0]: is at -1 ms, before 0 ms");
  EXPECT_EQ(refusal([](auto& t) { t.events[2].node = 3; }), "events[2]: names node 3 of 3");
  EXPECT_EQ(refusal([](auto& t) { t.events[2].node = -1; }), "events[2]: names node -1 of 3");
  EXPECT_EQ(refusal([](auto& t) { t.events[2].node = 1; }), "events[2]: adds b, which is there");
  EXPECT_EQ(refusal([](auto& t) { t.events[2].removed = true; }),
            "events[2]: removes c, which is not there");
  EXPECT_EQ(refusal([](auto& t) { t.end = 3999; }),
            "end: is at 3999 ms, before the last event at 4000 ms");
}

TEST(failure_trace, counts_make_the_trace_of_those_counts) {
  random_cases random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::pair<std::int64_t, std::int32_t>> counts;
    std::int64_t at = random.roll(0, 5);
    for (int k = random.roll(2, 12); k > 0; --k) {
      counts.emplace_back(at, random.roll(counts.empty() ? 1 : 0, 9));
      at += random.roll(1, 9);
    }
    auto const trace = trace_of_counts(counts);
    EXPECT_EQ(trace.end, counts.back().first);
    auto const spans = live_intervals(trace);
    for (auto const& span : spans) {
      auto now = counts.front();
      for (auto const& c : counts)
        if (c.first <= span.begin) now = c;
      EXPECT_EQ(static_cast<std::int32_t>(span.live.size()), now.second);
      EXPECT_NE(span.removed && span.added, true);
      for (std::size_t k = 0; k < span.live.size(); ++k) EXPECT_EQ(span.live[k].index(), k);
    }
    EXPECT_EQ(spans.front().begin, counts.front().first);
    EXPECT_EQ(spans.back().end, counts.back().first);
  }
}

TEST(failure_trace, counts_are_refused_by_pair) {
  auto const refusal = [](std::vector<std::pair<std::int64_t, std::int32_t>> const& counts) {
    return thrown_by([&] { (void)trace_of_counts(counts); });
  };
  EXPECT_EQ(refusal({{0, 3}}), "counts: has 1 pairs, wanted are a first and a last");
  EXPECT_EQ(refusal({{-1, 3}, {2, 1}}), "counts[0]: is at -1 ms");
  EXPECT_EQ(refusal({{2, 3}, {2, 1}}), "counts[1]: is at 2 ms, not behind 2 ms");
  EXPECT_EQ(refusal({{0, 0}, {2, 1}}), "counts[0]: has 0 nodes, not 1 to 1048576");
  EXPECT_EQ(refusal({{0, 1}, {2, -1}}), "counts[1]: has -1 nodes, not 0 to 1048576");
  EXPECT_EQ(refusal({{0, 1}, {2, 1048577}}), "counts[1]: has 1048577 nodes, not 0 to 1048576");
}

}  // namespace
}  // namespace shunt::tests::failure_trace_test

#include "shunt/execute/recovery_timeline.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace shunt::tests::recovery_timeline_test {
namespace {

TEST(recovery_timeline, sessions_follow_each_other_on_one_clock) {
  recovery_report report;
  report.sessions.resize(2);
  report.sessions[0].result.timeline.events = {{.rank = 1, .iteration = 0, .start = 0, .end = 7},
                                               {.rank = 0, .iteration = 1, .start = 5, .end = 9}};
  report.sessions[1].first = 2;
  report.sessions[1].result.timeline.events = {{.rank = 0, .iteration = 0, .start = 1, .end = 4}};
  auto const all = timeline_of(report);
  EXPECT_EQ(all.events, (std::vector<event>{{.rank = 0, .iteration = 1, .start = 5, .end = 9},
                                            {.rank = 0, .iteration = 2, .start = 10, .end = 13},
                                            {.rank = 1, .iteration = 0, .start = 0, .end = 7}}));
  EXPECT_EQ(all.seconds_per_tick, 1e-9);
}

}  // namespace
}  // namespace shunt::tests::recovery_timeline_test

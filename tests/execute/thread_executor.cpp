#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <thread>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/timeline.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::thread_executor_test {
namespace {

using namespace std::chrono_literals;

TEST(thread_executor, wait_for_a_live_rank_however_long_it_takes) {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) b.buffer(r, 8, true);
  b.compute(0, {}, {}, {});
  b.send(0, 1, {0, 0, 8});
  b.receive(1, 0, {0, 0, 8});
  mixing_work w(b.peek());
  w.before = [](rank_id, task const&) { std::this_thread::sleep_for(25ms); };
  auto const o = thread_executor{.timeout = 1ms}.run(b.peek(), w);
  EXPECT_TRUE(o.lost.empty());
  EXPECT_EQ(o.done[1], (progress{1, 0}));
}

TEST(thread_executor, tasks_know_when_they_began) {
  program_builder b(1);
  b.buffer(0, 8, true);
  for (int n = 0; n < 3; ++n) b.compute(0, {}, {}, {});
  auto const begins = [&](auto const& executor) {
    std::vector<ticks> started;
    mixing_work w(b.peek());
    w.before = [&](rank_id, task const& t) {
      started.push_back(t.started);
      std::this_thread::sleep_for(2ms);
    };
    auto const done = executor.run(b.peek(), w);
    ASSERT_EQ(done.timeline.events.size(), 3U);
    for (std::size_t n = 1; n < 3; ++n) {  // one clock for tasks and timeline
      EXPECT_GE(started[n] - started[n - 1], 2'000'000);
      EXPECT_EQ(started[n] - started[n - 1],
                done.timeline.events[n].start - done.timeline.events[n - 1].start);
    }
    EXPECT_LT(started[2], stopwatch().on_steady_clock(0));
  };
  begins(thread_executor{});
  begins(inline_executor{});
}

TEST(thread_executor, refuse_a_message_that_is_never_sent) {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) b.buffer(r, 8, true);
  b.receive(1, 0, {0, 0, 8}, 3);
  mixing_work w(b.peek());
  EXPECT_THROW((void)thread_executor{}.run(b.peek(), w), invalid_program);
}

}  // namespace
}  // namespace shunt::tests::thread_executor_test

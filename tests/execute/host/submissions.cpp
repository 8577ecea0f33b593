#include "shunt/execute/host/submissions.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "shunt/core/error.hpp"

namespace shunt::tests::submissions_test {
namespace {

using namespace detail;

std::shared_ptr<program const> for_ranks(std::size_t n) {
  program p;
  p.ranks.resize(n);
  return std::make_shared<program const>(std::move(p));
}

TEST(submissions, are_for_the_ranks_of_the_first_until_the_session_is_closed) {
  submissions list;
  EXPECT_TRUE(list.empty());
  list.append(for_ranks(3));
  EXPECT_THROW(list.append(for_ranks(4)), invalid_program);
  EXPECT_EQ(list.size(), 1);
  EXPECT_NO_THROW(list.require_submitted(1));
  EXPECT_THROW(list.require_submitted(2), std::logic_error);
  list.completed(17);
  EXPECT_EQ(list.completed_at(1), 17);
  EXPECT_THROW((void)list.completed_at(2), std::out_of_range);
  list.close();
  EXPECT_THROW(list.append(for_ranks(3)), std::logic_error);
}

TEST(submissions, a_step_that_throws_closes_the_session) {
  submissions list;
  list.guarded([] { throw std::runtime_error("no data"); });
  EXPECT_TRUE(list.closed());
  list.guarded([] { FAIL() << "runs after a failure"; });
  EXPECT_THROW(list.rethrow_failure(), std::runtime_error);
}

TEST(submissions, shared_ones_are_complete_when_every_rank_is) {
  shared_submissions list;
  auto const p = for_ranks(2);
  list.append(p, [](program const&) {}, [] {});
  EXPECT_EQ(list.next(0), p);
  EXPECT_EQ(list.at(1), nullptr);
  list.list_completed(0, 2, stopwatch{});
  EXPECT_EQ(list.list().complete(), 0);
  list.list_completed(0, 2, stopwatch{});
  EXPECT_TRUE(list.wait_until(1));
  EXPECT_THROW((void)list.wait_until(2), std::logic_error);
}

TEST(submissions, waits_end_when_the_session_is_closed_or_cancelled) {
  shared_submissions closed, cancelled;
  {
    std::jthread const rank([&] { EXPECT_EQ(closed.next(0), nullptr); });
    closed.close();
  }
  cancelled.append(for_ranks(2), [](program const&) {}, [] {});
  cancelled.give_up_at(std::chrono::steady_clock::now() + std::chrono::milliseconds(5));
  EXPECT_FALSE(cancelled.wait_until(1));
  EXPECT_TRUE(cancelled.cancelled());
  EXPECT_EQ(cancelled.next(0), nullptr);
}

TEST(submissions, an_outcome_names_the_ranks_that_fell_silent) {
  run_log all, half;
  auto const p = std::make_shared<program const>([] {
    program two;
    two.ranks.resize(2);
    for (auto& r : two.ranks) r.instructions.resize(1);
    return two;
  }());
  all.instruction_ended(2, 3);
  all.list_ended();
  std::vector const ranks{rank_result{all}, rank_result{half, true}};
  std::vector const programs{p};
  auto const o = collect(ranks, programs, event_order::list);
  EXPECT_EQ(o.lost, std::vector<rank_id>{1});
  EXPECT_EQ(o.done[0], (progress{1, 0}));
  EXPECT_EQ(o.done[1], (progress{0, 0}));
  EXPECT_EQ(o.timeline.events.size(), 1U);
  EXPECT_TRUE(collect(ranks, programs, event_order::none).timeline.events.empty());
}

}  // namespace
}  // namespace shunt::tests::submissions_test

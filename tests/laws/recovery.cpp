// Iterations through losses and joins, on every executor: the end is always that of an undisturbed
// run.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "support/sample_programs.hpp"
#include "support/sum_training.hpp"

namespace shunt::tests::recovery_test {
namespace {

using namespace sum_training;

using namespace std::chrono_literals;

struct on_one_thread {
  static auto with(std::vector<failure_point> failures) {
    return inline_executor{.failures = std::move(failures)};
  }
};
struct on_threads {
  static auto with(std::vector<failure_point> failures) {
    return thread_executor{.failures = std::move(failures), .timeout = 2ms};
  }
};
struct in_virtual_time {
  static auto with(std::vector<failure_point> failures) {
    return simulated_executor{
        .cost = uneven_costs{}, .failures = std::move(failures), .timeout = 5};
  }
};

/// With one type for each callable, to be compiled once an executor.
template <class Maker>
recovery_report recovered(std::vector<failure_point> failures, toy_training& w,
                          recovery const& config, planner const& make, listener const& hear) {
  return run_through_losses(Maker::with(std::move(failures)), w, config, make, hear, transfer);
}

template <class Maker>
class recovery_on : public testing::Test {
 protected:
  static constexpr std::int64_t iterations = 6;

  static std::array<std::int64_t, 4> undisturbed(std::int64_t until = iterations) {
    toy_training w;
    auto session = inline_executor{}.open(w);
    for (std::int64_t k = 0; k < until; ++k) session.submit(*plan({}));
    (void)session.wait();
    return w.words(0);
  }

  /// Runs with these faults and joins; all survivors must end as if nothing had happened.
  static recovery_report survive(std::vector<failure_point> failures, std::vector<join> joins = {},
                                 std::vector<rank_id> dead = {}) {
    toy_training w;
    std::vector<std::int64_t> announced;
    recovery const config{.end = iterations, .dead = std::move(dead), .joins = std::move(joins)};
    auto const report =
        recovered<Maker>(std::move(failures), w, config, plan,
                         [&](completed_iteration const& c) { announced.push_back(c.iteration); });
    EXPECT_EQ(report.end, iterations);
    EXPECT_EQ(report.stopped, "");
    EXPECT_EQ(announced, (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5}));
    for (rank_id const r : ids<rank_id>(workers))
      if (!std::binary_search(report.dead.begin(), report.dead.end(), r)) {
        EXPECT_EQ(w.words(r), undisturbed());
      }
    return report;
  }
};
using makers = testing::Types<on_one_thread, on_threads, in_virtual_time>;
TYPED_TEST_SUITE(recovery_on, makers);

TYPED_TEST(recovery_on, nothing_lost_is_one_session) {
  ASSERT_TRUE(check(*plan({})).empty());
  auto const report = this->survive({});
  EXPECT_TRUE(report.losses.empty());
  ASSERT_EQ(report.sessions.size(), 1U);
  EXPECT_EQ(report.sessions[0].result.done[0], (progress{6, 0}));
}

TYPED_TEST(recovery_on, every_instruction_may_be_the_last) {
  auto const p = *plan({});
  for (rank_id const victim : ids<rank_id>(workers)) {
    auto const length = static_cast<std::int32_t>(p.ranks[victim].instructions.size());
    for (std::int32_t at = 0; at <= length; ++at) {
      auto const report = this->survive({{victim, 3, at}});
      ASSERT_EQ(report.losses.size(), 1U);
      auto const& l = report.losses[0];
      EXPECT_EQ(l.ranks, std::vector<rank_id>{victim});
      EXPECT_EQ(report.dead, std::vector<rank_id>{victim});
      EXPECT_GE(l.iteration, 2);  // a slow survivor may be called off before it has completed 2
      EXPECT_LE(l.iteration,
                at >= length - 1
                    ? 4
                    : 3);  // with its gradient reduced, the others may complete the iteration
      EXPECT_LE(l.steps_undone, workers - 1);
      EXPECT_EQ(report.sessions.size(), 2U);
      EXPECT_EQ(report.sessions.back().first, l.iteration);
    }
  }
}

TYPED_TEST(recovery_on, losses_add_up) {
  auto const one_by_one = this->survive({{2, 1, 4}, {0, 4, 2}});
  EXPECT_EQ(one_by_one.losses.size(), 2U);
  EXPECT_EQ(one_by_one.dead, (std::vector<rank_id>{0, 2}));
  auto const at_once = this->survive({{2, 2, 0}, {1, 2, 1}});
  EXPECT_EQ(at_once.dead, (std::vector<rank_id>{1, 2}));
  auto const in_the_redo =
      this->survive({{2, 2, 0}, {1, 2, 5}});  // instruction 5 exists only under the second plan
  EXPECT_EQ(in_the_redo.dead, (std::vector<rank_id>{1, 2}));
  EXPECT_EQ(in_the_redo.losses.size(), 2U);
}

TYPED_TEST(recovery_on, lost_at_the_very_end_costs_nothing) {
  auto const length = static_cast<std::int32_t>(plan({})->ranks[1].instructions.size());
  auto const report = this->survive({{1, 5, length}});
  ASSERT_EQ(report.losses.size(), 1U);
  EXPECT_EQ(report.dead, only(1));
}

TYPED_TEST(recovery_on, ranks_come_back) {
  auto const later = this->survive({{1, 1, 3}}, {{1, 4}});
  EXPECT_TRUE(later.dead.empty());
  EXPECT_EQ(later.joined, (std::vector<join>{{1, 4}}));
  ASSERT_EQ(later.sessions.size(), 3U);
  EXPECT_EQ(later.sessions[2].first, 4);

  auto const from_the_start = this->survive({}, {{0, 0}, {2, 3}}, {0, 2});
  EXPECT_TRUE(from_the_start.dead.empty());
  EXPECT_EQ(from_the_start.joined.size(), 2U);

  auto const again = this->survive({{1, 1, 3}, {1, 3, 0}}, {{1, 3}, {1, 5}});
  EXPECT_TRUE(again.dead.empty());
  EXPECT_EQ(again.losses.size(), 2U);
  EXPECT_EQ(again.joined.size(), 2U);

  auto const alive_anyway = this->survive({{1, 4, 3}}, {{1, 2}});
  EXPECT_TRUE(alive_anyway.joined.empty());
}

TYPED_TEST(recovery_on, a_transfer_may_fail) {
  auto const giver_lost =
      this->survive({{1, 1, 3}, {0, transfer_iteration, 0}}, {{1, 3}});  // then rank 2 gives
  EXPECT_EQ(giver_lost.dead, only(0));
  EXPECT_EQ(giver_lost.joined, (std::vector<join>{{1, 3}}));
  EXPECT_EQ(giver_lost.losses.size(), 2U);
  auto const givers_lost =
      this->survive({{1, 1, 3}, {2, 2, 0}, {0, transfer_iteration, 0}}, {{1, 0}, {2, 1}});
  EXPECT_EQ(givers_lost.dead, (std::vector<rank_id>{1, 2}));
  EXPECT_TRUE(givers_lost.joined.empty());
  auto const taker_lost = this->survive({{1, 1, 3}, {1, transfer_iteration, 0}}, {{1, 3}});
  EXPECT_EQ(taker_lost.dead, only(1));
}

TYPED_TEST(recovery_on, stops_where_there_is_no_plan) {
  toy_training w;
  auto const needs_two = [](dead_ranks dead) {
    return dead.size() > 1 ? std::optional<program>{} : plan(dead);
  };
  int completed = 0;
  auto const report = recovered<TypeParam>({{0, 1, 2}, {2, 3, 3}}, w, {.end = 6}, needs_two,
                                           [&](completed_iteration const&) { ++completed; });
  if constexpr (std::is_same_v<TypeParam, on_threads>) {
    EXPECT_GE(report.end, 2);  // a slow survivor may be called off before it has completed 2
    EXPECT_LE(report.end, 3);
  } else {
    EXPECT_EQ(report.end, 3);
  }
  EXPECT_EQ(completed, report.end);
  EXPECT_EQ(report.stopped,
            "no plan for iteration " + std::to_string(report.end) + " without ranks 0 2");
  // The survivor stands where that iteration can begin.
  EXPECT_EQ(w.words(1), this->undisturbed(report.end));
}

TYPED_TEST(recovery_on, passes_on_what_the_work_throws) {
  toy_training w;
  w.before = [](task const& t) {
    if (t.iteration == 2) throw std::runtime_error("no data");
  };
  EXPECT_THROW(
      (void)recovered<TypeParam>({}, w, {.end = 6}, plan, [](completed_iteration const&) {}),
      std::runtime_error);
}

}  // namespace
}  // namespace shunt::tests::recovery_test

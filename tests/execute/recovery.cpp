#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "support/sum_training.hpp"

namespace shunt::tests::recovery_test {
namespace {

using namespace sum_training;

/// Sessions as processes have them: the `nth` ends after one program, though nobody is lost.
struct flaky {
  int nth = 1;
  bool always = false;
  std::optional<rank_id> absent{};  ///< has no process; then nobody knows that the others have
                                    ///< completed the program until all agree on it
  std::shared_ptr<int> opened = std::make_shared<int>(0);

  struct session {
    inline_session<toy_training> inner;
    bool breaks;
    std::optional<rank_id> absent;
    int submitted = 0;

    void submit(std::shared_ptr<program const> p) {
      if (!breaks || submitted++ == 0) inner.submit(std::move(p));
    }
    [[nodiscard]] bool wait_until(std::int32_t n) {
      return (!breaks || (n == 1 && !absent)) && inner.wait_until(n);
    }
    [[nodiscard]] ticks completed_at(std::int32_t n) const { return inner.completed_at(n); }
    [[nodiscard]] outcome wait() {
      auto all = inner.wait();
      if (breaks && submitted == 1)
        for (auto& d : all.done) d = {};  // a session of one program
      if (absent) all.done[*absent] = {};
      return all;
    }
    [[nodiscard]] loss_times times_of_loss() const {
      return {.noticed = 7, .detect = 2, .agree = 5};
    }
  };
  [[nodiscard]] session open(toy_training& w, std::int64_t first = 0) const {
    return {{inline_executor{}, w, first}, ++*opened == nth || (always && *opened >= nth), absent};
  }
  outcome run(program const& p, toy_training& w) const { return run_once(*this, p, w); }
};
static_assert(loss_timing_session<flaky::session>);

TEST(recovery, goes_on_where_connections_break_and_nobody_is_lost) {
  toy_training w, calm;
  auto const on_completed = [](completed_iteration const&) {};
  (void)run_through_losses(inline_executor{}, calm, {.end = 6}, plan, on_completed);
  auto const report = run_through_losses(flaky{}, w, {.end = 6}, plan, on_completed);
  EXPECT_EQ(report.end, 6);
  ASSERT_EQ(report.losses.size(), 1u);
  EXPECT_EQ(report.losses[0].ranks, std::vector<rank_id>{});
  EXPECT_EQ(report.losses[0].iteration, 1);
  EXPECT_EQ(report.losses[0].noticed, 7);
  EXPECT_EQ(report.losses[0].detect, 2);
  EXPECT_GE(report.losses[0].agree, 5);
  EXPECT_EQ(w.words(0), calm.words(0));
  EXPECT_TRUE(report.dead.empty());
}

TEST(recovery, waits_for_nobody_who_is_asked_for_nothing) {
  toy_training w;
  auto const without_last = [](dead_ranks) { return plan(only(2)); };
  auto const report = run_through_losses(flaky{.absent = 2}, w, {.end = 6}, without_last,
                                         [](completed_iteration const&) {});
  EXPECT_EQ(report.end, 6);
  ASSERT_EQ(report.losses.size(), 1u);
  EXPECT_EQ(report.losses[0].iteration, 1);
  EXPECT_EQ(report.losses[0].steps_undone, 0);
}

TEST(recovery, brings_the_state_again_where_connections_break) {
  toy_training w, calm;
  auto const on_completed = [](completed_iteration const&) {};
  (void)run_through_losses(inline_executor{}, calm, {.end = 4}, plan, on_completed);
  recovery const config{.end = 4, .dead = {1}, .joins = {{1, 2}}};
  auto const report = run_through_losses(flaky{.nth = 2}, w, config, plan, on_completed, transfer);
  EXPECT_EQ(report.joined, (std::vector<join>{{1, 2}}));
  ASSERT_EQ(report.losses.size(), 1u);
  EXPECT_EQ(report.losses[0].iteration, 2);
  EXPECT_EQ(w.words(0), calm.words(0));
  EXPECT_EQ(w.words(1), calm.words(0));
}

TEST(recovery, does_not_try_for_ever) {
  toy_training w;
  recovery const config{.end = 4, .dead = {1}, .joins = {{1, 2}}};
  auto const on_completed = [](completed_iteration const&) {};
  EXPECT_THROW((void)run_through_losses(flaky{.nth = 2, .always = true}, w, config, plan,
                                        on_completed, transfer),
               invalid_program);
}

// Before iteration 3 a transition brings rank 2, which takes no part, the state of a peer.
TEST(recovery, sessions_begin_where_their_transition_has_arrived) {
  toy_training calm, calm_at_3;
  auto const on_completed = [](completed_iteration const&) {};
  (void)run_through_losses(inline_executor{}, calm, {.end = 7}, plan, on_completed);
  (void)run_through_losses(inline_executor{}, calm_at_3, {.end = 3}, plan, on_completed);
  for (bool const struck : {false, true}) {
    toy_training w;
    std::int64_t next = 0;
    bool there = false;
    std::vector<std::int64_t> asked;
    int arrived = 0;
    auto const first_two = [&](dead_ranks dead) {
      std::vector<rank_id> without(dead.begin(), dead.end());
      without.push_back(2);
      return plan(without);
    };
    recovery config{.end = 7};
    config.pause_before = [](std::int64_t first) { return first + 3 - first % 3; };
    config.transition = [&](dead_ranks dead) -> std::optional<program> {
      asked.push_back(next);
      if (next < 3 || there) return std::nullopt;
      return transfer(2, dead);
    };
    config.arrived = [&](program const&, outcome const&) {
      ++arrived;
      there = true;
    };
    inline_executor executor;
    if (struck) executor.failures = {{0, transfer_iteration, 0}};
    auto const report =
        run_through_losses(executor, w, config, first_two,
                           [&](completed_iteration const& c) { next = c.iteration + 1; });
    EXPECT_EQ(report.stopped, "");
    EXPECT_EQ(arrived, 1);
    EXPECT_EQ(report.losses.size(), struck ? 1U : 0U);
    EXPECT_EQ(w.words(2), calm_at_3.words(0));
    auto const times =
        struck ? std::vector<std::int64_t>{0, 3, 3, 3, 6} : std::vector<std::int64_t>{0, 3, 3, 6};
    EXPECT_EQ(asked, times);
    EXPECT_EQ(w.words(1), calm.words(0));
  }
}

}  // namespace
}  // namespace shunt::tests::recovery_test

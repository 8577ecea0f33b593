#include "shunt/execute/recovery/recovery_driver.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/program/builder.hpp"
#include "support/sum_training.hpp"

namespace shunt::tests::recovery_driver_test {
namespace {

using namespace sum_training;

TEST(recovery_driver, refuses_to_undo_two_steps) {
  auto const untied = [](dead_ranks) {
    program_builder b(workers);
    for (rank_id const r : ids<rank_id>(workers)) {
      b.buffer(r, state, width, true);
      b.buffer(r, gradient, width, true);
      b.compute(r, {.kind = op_kind::step}, {}, {{state, 0, width}});
    }
    b.send(2, 1, {state, 0, width});
    b.receive(1, 2, {gradient, 0, width});
    return std::optional(std::move(b).finish());
  };
  toy_training w;
  try {  // rank 1 waits for rank 2, rank 0 runs to the end
    (void)run_through_losses(inline_executor{.failures = {{2, 1, 0}}}, w, {.end = 6}, untied,
                             [](completed_iteration const&) {});
    FAIL();
  } catch (invalid_program const& e) {
    EXPECT_NE(
        std::string(e.what()).find("rank 0 would have to undo 5 steps to go back to iteration 1"),
        std::string::npos)
        << e.what();
  }
}

// Ranks have their programs two ahead; those run to their end under the old plan.
template <class Executor>
void plans_anew(Executor const& executor) {
  toy_training calm, w;
  static_cast<void>(run_through_losses(inline_executor{}, calm, {.end = 9}, plan,
                                       [](completed_iteration const&) {}));
  std::vector<std::int64_t> asked, made;
  std::int64_t next = 0;
  recovery config{.end = 9};
  config.plan_serves = [&](std::int64_t before) {
    asked.push_back(before);
    return before != 3;
  };
  auto const replan = [&](dead_ranks dead) {
    made.push_back(next);
    return plan(dead);
  };
  auto const report = run_through_losses(
      executor, w, config, replan, [&](completed_iteration const& c) { next = c.iteration + 1; });
  EXPECT_EQ(report.end, 9);
  EXPECT_TRUE(report.losses.empty());
  EXPECT_EQ(asked, (std::vector<std::int64_t>{1, 2, 3, 5, 6, 7}));
  EXPECT_EQ(made, (std::vector<std::int64_t>{0, 4}));
  ASSERT_EQ(report.sessions.size(), 2U);
  EXPECT_EQ(report.sessions[1].first, 4);
  for (rank_id const r : ids<rank_id>(workers)) EXPECT_EQ(w.words(r), calm.words(r));
}

TEST(recovery_driver, a_plan_too_slow_is_made_anew_after_what_was_submitted) {
  plans_anew(inline_executor{});
  plans_anew(thread_executor{});
}

}  // namespace
}  // namespace shunt::tests::recovery_driver_test

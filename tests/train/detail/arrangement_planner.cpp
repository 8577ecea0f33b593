#include "shunt/train/detail/arrangement_planner.hpp"

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

#include "shunt/train/best_policy.hpp"
#include "support/dense_training.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::arrangement_planner_test {
namespace {

using planner = detail::arrangement_planner<best_policy<>>;

TEST(arrangement_planner, without_a_watch_plans_run_as_they_are) {
  auto const t = dense_training(2, 2, 2);
  planner plans(t, {});
  auto const start = starting_arrangement(t.job);
  auto const plan = plans(start, dense_work_of(t).tensors());
  EXPECT_EQ(plans.running(plan, start, {}), *plan.iteration);
  EXPECT_TRUE(plans.serves(3));
  EXPECT_FALSE(plans.take_verdicts(3, [](slow_verdicts const&) { FAIL(); }));
  EXPECT_EQ(plans.after(start, {}), start);
  std::vector<rank_id> const lost{1};
  auto const next = plans.after(start, {lost});
  EXPECT_EQ(next, plans.next(start, lost).plan);
  EXPECT_EQ(field_of([&] { (void)plans.after(start, {{1, 3}}); }), "plan");
}

TEST(arrangement_planner, verdicts_age_plans_and_count_in_periods) {
  auto const t = dense_training(2, 2, 4);
  planner plans(t, {});
  slow_watch watch(t.job);
  plans.watch(watch);
  auto const start = starting_arrangement(t.job);
  auto const tensors = dense_work_of(t).tensors();
  auto const before = plans(start, tensors);
  auto const running = plans.running(before, start, {});
  EXPECT_GT(running.instructions(), before.iteration->instructions());
  slow_verdicts verdicts(4);
  verdicts[1] = {.sixteenths = 32, .iterations = 2, .confidence = 1};
  watch.hear(2, std::as_bytes(std::span(verdicts.items())));
  EXPECT_TRUE(plans.serves(2));
  EXPECT_FALSE(plans.serves(3));
  int told = 0;
  EXPECT_TRUE(plans.take_verdicts(3, [&](slow_verdicts const& now) {
    ++told;
    EXPECT_TRUE(now[1].slow());
  }));
  EXPECT_TRUE(plans.serves(3));
  EXPECT_TRUE(plans.take_verdicts(3, [&](slow_verdicts const&) { ++told; }));
  EXPECT_EQ(told, 1);
  auto const slow = plans(start, tensors);
  EXPECT_GT(slow.period, before.period);
  EXPECT_LE(slow.period, 2 * before.period);
  auto const next = plans.next(start, {});
  ASSERT_TRUE(next.has_plan());
  EXPECT_LE(static_cast<double>(plans(next.plan, tensors).period), next.objective + 1);
  EXPECT_LT(next.objective, static_cast<double>(slow.period));
  plans.keep();
  EXPECT_FALSE(plans.take_verdicts(4, [&](slow_verdicts const&) { ++told; }));
}

}  // namespace
}  // namespace shunt::tests::arrangement_planner_test

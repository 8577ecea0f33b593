#include "shunt/train/detail/arrangement_planner.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "shunt/train/best_policy.hpp"
#include "support/dense_training.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::arrangement_planner_test {
namespace {

using planner = detail::arrangement_planner<best_policy<>>;

TEST(arrangement_planner, follows_a_policy_through_losses) {
  auto const t = dense_training(2, 2, 2);
  planner const plans(t, {});
  auto const start = starting_arrangement(t.job);
  EXPECT_EQ(plans.after(start, {}, {}), start);
  std::vector<rank_id> const lost{1};
  auto const next = plans.after(start, {lost}, {});
  EXPECT_EQ(next, plans.next(start, lost, {}).plan);
  EXPECT_EQ(field_of([&] { (void)plans.after(start, {{1, 3}}, {}); }), "plan");
}

TEST(arrangement_planner, slow_ranks_count_in_periods_and_the_policy_answers_them) {
  auto const t = dense_training(2, 2, 4);
  planner const plans(t, {});
  auto const start = starting_arrangement(t.job);
  auto const tensors = dense_work_of(t).tensors();
  slow_verdicts verdicts(4);
  auto const before = plans(start, verdicts, tensors);
  EXPECT_EQ(before.period, plans(start, {}, tensors).period);
  verdicts[1] = {.sixteenths = 32, .iterations = 2, .confidence = 1};
  auto const slow = plans(start, verdicts, tensors);
  auto const in_ticks = [](planned_iteration const& p) { return static_cast<double>(p.period); };
  EXPECT_EQ(slow.parts, slow_verdict::normal);
  EXPECT_GT(in_ticks(slow), in_ticks(before));
  EXPECT_LE(in_ticks(slow), 2 * in_ticks(before));
  auto const next = plans.next(start, {}, verdicts);
  ASSERT_TRUE(next.has_plan());
  EXPECT_LE(in_ticks(plans(next.plan, verdicts, tensors)), next.objective + 1);
  EXPECT_LE(next.objective, in_ticks(slow));
}

}  // namespace
}  // namespace shunt::tests::arrangement_planner_test

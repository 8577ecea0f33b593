#include "shunt/train/training_policy.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "shunt/execute/inline_executor.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/train/policy_run.hpp"
#include "support/dense_training.hpp"

namespace shunt::tests::training_policy_test {
namespace {

/// The least that a policy can be: the last live rank does everything.
struct last_rank {
  static constexpr std::string_view name = "last_rank";
  static constexpr int every = 0;

  [[nodiscard]] solution<arrangement> operator()(situation const& s) const {
    rank_id last = s.start.ranks() - 1;
    for (auto at = s.dead.rbegin(); at != s.dead.rend() && *at == last; ++at) --last;
    worker_ranks const one{std::vector<rank_id>(static_cast<std::size_t>(s.start.stages), last)};
    return {.plan = arranged(s.start, one, {s.start.total_microbatches()})};
  }
  [[nodiscard]] solution<pipeline_schedule> schedule(pipeline_job const& job) const {
    return gpipe{}(job);
  }
};
static_assert(training_policy<last_rank>);
static_assert(!training_policy<slipstream>);

/// Everything is on the last rank from the start.
struct last_rank_alone : last_rank {
  [[nodiscard]] arrangement start(pipeline_job const& job) const {
    auto const all = starting_arrangement(job);
    return (*this)({job, all, {}}).plan;
  }
};
static_assert(training_policy<last_rank_alone>);

TEST(training_policy, the_least_one_trains) {
  auto const t = dense_training(2, 3, 2);
  auto work = dense_work_of(t);
  pipeline_run run(work, last_rank{});
  EXPECT_EQ(run(inline_executor{.failures = {{0, 1, 3}}}).stopped, "");
  EXPECT_EQ(run.losses(), undisturbed(t).losses);
  EXPECT_EQ(work.held_by(5), (std::vector<stage_id>{0, 1, 2}));
  EXPECT_EQ(run.changes().at(0).waiting, (std::vector<rank_id>{1, 2, 3, 4}));
  EXPECT_EQ(run.changes().at(0).copies, 2);
}

TEST(training_policy, an_arrangement_with_a_schedule_runs_that) {
  auto const t = dense_training(2, 3, 2);
  auto a = starting_arrangement(t.job);
  last_rank const policy{};
  EXPECT_EQ(schedule_under(policy, a).plan, gpipe{}(t.job).plan);
  a.schedule = slipstream{}(t.job).plan;
  EXPECT_EQ(schedule_under(policy, a).plan, a.schedule);
  EXPECT_TRUE(schedule_under(policy, a).has_plan());
}

TEST(training_policy, may_start_with_other_parts) {
  auto const t = dense_training(2, 3, 2);
  auto work = dense_work_of(t);
  pipeline_run run(work, last_rank_alone{});
  EXPECT_EQ(work.held_by(5), (std::vector<stage_id>{0, 1, 2}));
  EXPECT_TRUE(work.held_by(0).empty());
  EXPECT_EQ(run(inline_executor{}).stopped, "");
  EXPECT_EQ((trained_bits{run.losses(), parameters_of(work)}), undisturbed(t));
  EXPECT_TRUE(run.changes().empty());
}

}  // namespace
}  // namespace shunt::tests::training_policy_test

#include "shunt/train/oobleck_policy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <tuple>
#include <vector>

#include "shunt/lower/stage_copies.hpp"
#include "shunt/problem/template_problem.hpp"
#include "shunt/solve/pipeline/oobleck_reconfigure.hpp"
#include "shunt/solve/pipeline/oobleck_templates.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::oobleck_policy_test {
namespace {

TEST(oobleck_policy, a_shorter_pipeline_gets_fewer_microbatches) {
  auto const job = stepping_job_of(3, 4, 6);
  auto const start = starting_arrangement(job);
  std::vector<rank_id> const dead{6};
  static constexpr oobleck_policy<> policy{};
  auto const next = policy({job, start, dead});
  ASSERT_TRUE(next.has_plan());
  auto const workers = workers_of(next.plan);
  ASSERT_EQ(workers.size(), 3U);
  EXPECT_EQ(workers[1], (std::vector<rank_id>{0, 1, 2, 3}));
  EXPECT_EQ(workers[2], (std::vector<rank_id>{8, 9, 10, 11}));
  EXPECT_EQ(std::set<rank_id>(workers[0].begin(), workers[0].end()), (std::set<rank_id>{4, 5, 7}));
  auto const counts = next.plan.job.microbatches.values();
  EXPECT_EQ(next.plan.job.total_microbatches(), 18);
  EXPECT_LT(counts[0], counts[1]);
  EXPECT_TRUE(policy.schedule(next.plan.job).has_plan());
}

TEST(oobleck_policy, says_why_there_is_no_arrangement) {
  auto const job = stepping_job_of(2, 2, 1);
  auto const start = starting_arrangement(job);
  std::vector<rank_id> dead{0};
  EXPECT_EQ(oobleck_rule{.minimum = 2}({job, start, dead}).reason.view(),
            "a pipeline of 3 ranks has only 2 layers");
  dead = {0, 1, 2};
  EXPECT_NE(
      oobleck_rule{.minimum = 2}({job, start, dead}).reason.view().find("ranks are insufficient"),
      std::string_view::npos);
  EXPECT_EQ(field_of([&] { (void)oobleck_rule{.minimum = 0}({job, start, dead}); }), "minimum");
}

// Loss after loss: all live ranks train, stages are consecutive, the batch stays, and the copies
// are those that Oobleck's own planner asks for.
TEST(oobleck_policy, arrangements_and_copies_are_those_of_the_planners) {
  random_cases d(47);
  int copied = 0;
  for (int round = 0; round < 100; ++round) {
    SCOPED_TRACE(round);
    auto const pipelines = d.roll(2, 4), stages = d.roll(2, 5), microbatches = d.roll(1, 4);
    auto job = stepping_job_of(pipelines, stages, microbatches);
    job.costs.forward = d.costs(job.stages, 1, 4);
    template_problem layers{.layers = {}, .nodes = job.stages};
    for (stage_id const s : ids<stage_id>(job.stages))
      layers.layers.push_back(
          {.forward = static_cast<double>(job.costs.forward[s]), .backward = 2});
    auto const templates = oobleck_templates{.cost = template_cost::simulated}(layers).plan;
    auto now = starting_arrangement(job);
    std::vector<rank_id> dead;
    for (int n = d.roll(1, 3); n > 0; --n) {
      rank_id const lost = d.roll(0, job.ranks() - 1);
      if (std::find(dead.begin(), dead.end(), lost) != dead.end()) continue;
      dead.push_back(lost);
      std::sort(dead.begin(), dead.end());
      pipeline_losses losses{.pipelines = {}, .lost = {lost}, .minimum = 1};
      for (auto ranks : workers_of(now)) {
        ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
        losses.pipelines.push_back(ranks);
      }
      auto const answer = oobleck_rule{}({job, now, dead});
      ASSERT_TRUE(answer.has_plan()) << answer.reason.view();
      EXPECT_EQ(answer.plan.job.total_microbatches(), job.total_microbatches());
      EXPECT_EQ(answer.plan.members.size(), static_cast<std::size_t>(job.ranks()) - dead.size());
      auto const expected = oobleck_reconfigure{.templates = templates}(losses).plan;
      using copy = std::tuple<layer_id, rank_id, rank_id>;
      std::set<copy> wanted, found;
      for (auto const& c : expected.copies)
        for (rank_id const r : c.to) wanted.emplace(c.layer, c.from, r);
      for (auto const& c : copies_between(stages_held(now, job.ranks(), dead),
                                          stages_held(answer.plan, job.ranks())))
        for (rank_id const r : c.to) found.emplace(c.layer, c.from, r);
      EXPECT_EQ(found, wanted);
      copied += !found.empty();
      now = answer.plan;
    }
  }
  EXPECT_GT(copied, 50);
}

}  // namespace
}  // namespace shunt::tests::oobleck_policy_test

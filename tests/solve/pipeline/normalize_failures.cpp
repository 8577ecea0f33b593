#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "shunt/solve/pipeline/normalize_failures.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::normalize_failures_test {
namespace {

// All ways to place so many failures.
template <class Visit>
void every_spread(std::vector<std::int32_t> const& most, std::vector<std::int32_t>& counts,
                  std::int32_t left, Visit const& visit) {
  if (counts.size() == most.size()) {
    if (left == 0) visit(counts);
    return;
  }
  for (std::int32_t k = 0; k <= std::min(left, most[counts.size()]); ++k) {
    counts.push_back(k);
    every_spread(most, counts, left - k, visit);
    counts.pop_back();
  }
}

TEST(normalize_failures, normalized_ones_hurt_least) {
  random_cases d(17);
  for (int round = 0; round < 300; ++round) {
    auto job = random_job_with_failures(d, round % 3 == 2);
    if (job.layout.form() == stage_layout::shape::custom) job.layout = stage_layout::linear();
    if (job.memory.rule == stash_cap::kind::per_rank) job.memory = stash_cap::none();
    job.dead.clear();
    kill_some(d, job, 2);
    SCOPED_TRACE(describe_job(job));
    stage_groups const in(job);
    auto const dead = static_cast<std::int32_t>(job.dead.size());
    normalize_failures const solver{.most_moves = d.roll(0, 3),
                                    .joining = d.roll(0, std::min(2, dead))};
    std::map<std::pair<std::size_t, std::int32_t>, ticks>
        table;  // of any shape, and not the same way up everywhere
    auto const cost = [&](std::size_t c, std::int32_t k) {
      auto const [at, fresh] = table.emplace(std::pair(c, k), d.roll(1, 30));
      return round % 2 == 0 ? at->second : stage_group_cost(job)(c, k);
    };
    std::vector<std::int32_t> size(in.all.size(), 0), now(in.all.size(), 0), most;
    for (rank_id r : ids<rank_id>(job.ranks())) {
      ++size[static_cast<std::size_t>(in.of[r])];
      now[static_cast<std::size_t>(in.of[r])] += !job.alive(r);
    }
    for (auto const n : size) most.push_back(n - 1);
    auto best = std::pair(std::numeric_limits<ticks>::max(), 0);
    std::vector<std::int32_t> counts;
    every_spread(most, counts, dead - solver.joining, [&](std::vector<std::int32_t> const& then) {
      ticks worst = 0;
      std::int32_t moves = 0;
      for (std::size_t c = 0; c < then.size(); ++c) {
        worst = std::max<ticks>(worst, cost(c, then[c]));
        moves += std::max(0, then[c] - now[c]);
      }
      if (moves <= solver.most_moves) best = std::min(best, std::pair(worst, moves));
    });
    auto const answer = solver(job, cost);
    ASSERT_EQ(answer.status, status::optimal) << answer.reason;
    EXPECT_EQ(answer.objective, static_cast<double>(best.first));
    EXPECT_EQ(answer.plan.moves(), best.second);
    EXPECT_EQ(static_cast<std::int32_t>(answer.plan.changes.size()), best.second + solver.joining);
    auto after = job;
    after.dead = answer.plan.dead;
    ASSERT_NO_THROW(validate(after));
    EXPECT_FALSE(stage_without_worker(after));
    for (std::size_t c = 0; c < in.all.size(); ++c)
      EXPECT_EQ(static_cast<std::int32_t>(stage_groups(after).all[c].live.size()),
                size[c] - answer.plan.failures[c]);
    for (role_change const& change : answer.plan.changes) {
      EXPECT_FALSE(job.alive(change.to));
      EXPECT_TRUE(after.alive(change.to));
      EXPECT_TRUE(job.alive(change.copied_from) && after.alive(change.copied_from));
      EXPECT_EQ(in.of[change.to], in.of[change.copied_from]);
      if (!change.from) continue;
      EXPECT_TRUE(job.alive(*change.from));
      EXPECT_FALSE(after.alive(*change.from));
      EXPECT_NE(in.of[change.to], in.of[*change.from]);
    }
  }
}

TEST(normalize_failures, alike_stages_are_hit_evenly) {
  pipeline_job job{.pipelines = 6,
                   .stages = 4,
                   .microbatches = 8,
                   .dead = {{0, 2}, {1, 2}, {2, 2}, {3, 2}, {4, 2}}};
  auto const answer = solve(job, normalize_failures{});
  EXPECT_EQ(*std::max_element(answer.plan.failures.begin(), answer.plan.failures.end()), 2);
  EXPECT_EQ(answer.plan.moves(), 3);
  auto const limited = solve(job, normalize_failures{.most_moves = 1});
  EXPECT_EQ(limited.plan.failures[2], 4);
  EXPECT_EQ(limited.plan.moves(), 1);
  EXPECT_THROW((void)solve(job, normalize_failures{.joining = 6}), invalid_problem);
  EXPECT_THROW((void)solve(job, normalize_failures{.joining = -1}), invalid_problem);
  EXPECT_EQ(stage_group_cost(job)(0, 5), stage_group_cost(job)(2, 5));
  EXPECT_THROW((void)stage_group_cost(job)(0, 6), invalid_problem);  // nobody left
  EXPECT_THROW((void)stage_group_cost(job)(0, -1), invalid_problem);
}

}  // namespace
}  // namespace shunt::tests::normalize_failures_test

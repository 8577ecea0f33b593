// Laws of redundant forwards and of what follows a loss, over random jobs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "shunt/check/redundancy.hpp"
#include "shunt/check/shadow_takeover.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/redundant_times.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/redundant_forward.hpp"
#include "shunt/solve/pipeline/shadow_failover.hpp"
#include "support/random_cases.hpp"
#include "support/text.hpp"

namespace shunt::tests::bamboo_laws {
namespace {

pipeline_job random_job(random_cases& random) {
  pipeline_job job{.pipelines = random.roll(1, 3), .stages = random.roll(1, 6)};
  std::vector<std::int32_t> counts;
  for (std::int32_t p = 0; p < job.pipelines; ++p) counts.push_back(random.roll(1, 8));
  job.microbatches = per_pipeline(counts);
  job.costs = {.forward = random.costs(job.stages, 1, 5),
               .backward_input = random.costs(job.stages, 1, 5),
               .backward_weight = random.costs(job.stages, 0, 5),
               .step = random.roll(0, 3)};
  job.transfer = random.roll(0, 2);
  return job;
}

/// The ends of all operations, by following each list as far as its inputs are there.
std::map<operation, ticks> ends_of(pipeline_job const& job, redundant_schedule const& plan) {
  std::map<operation, ticks> ends;
  auto const ranks = static_cast<std::size_t>(job.ranks());
  std::vector<std::size_t> next(ranks, 0);
  std::vector<ticks> now(ranks, 0);
  for (bool moved = true; moved;) {
    moved = false;
    for (rank_id r : ids<rank_id>(ranks))
      for (auto& i = next[r.index()]; i < plan.plain.order[r].size(); ++i) {
        operation const& o = plan.plain.order[r][i];
        if (o.kind == op_kind::step) break;
        bool const forward = o.kind == op_kind::forward;
        auto const neighbour = o.stage.value() + (forward ? -1 : 1);
        bool const inner = neighbour >= 0 && neighbour < job.stages;
        auto const input = ends.find({o.kind, o.pipeline, neighbour, o.microbatch});
        if (inner && input == ends.end()) break;
        for (auto const& extra : plan.redundant[r])
          if (extra.before == static_cast<std::int32_t>(i))
            now[r.index()] += job.costs.forward[extra.forward.stage];
        if (inner)
          now[r.index()] = std::max(now[r.index()], input->second + job.transfer.within_node);
        now[r.index()] +=
            forward ? job.costs.forward[o.stage]
                    : job.costs.backward_input[o.stage] + job.costs.backward_weight[o.stage];
        ends[o] = now[r.index()];
        moved = true;
      }
  }
  return ends;
}

TEST(bamboo_laws, redundant_forwards_leave_the_order_alone) {
  random_cases random(11);
  for (int round = 0; round < 300; ++round) {
    auto const job = random_job(random);
    auto const answer = redundant_forward{}(job);
    auto const alone = one_f_one_b{}(job);
    EXPECT_EQ(answer.plan.plain, alone.plan);
    EXPECT_GE(answer.objective, alone.objective);
    EXPECT_EQ(answer.lower_bound, alone.lower_bound);
    auto const table = times(job, answer.plan);
    ASSERT_EQ(lines(check(job, answer.plan, table)), "") << round;
    for (auto const& [o, end] : ends_of(job, answer.plan)) {
      rank_id const r = job.rank_of({o.pipeline, o.stage});
      auto const& list = answer.plan.plain.order[r];
      auto const at = std::find(list.begin(), list.end(), o) - list.begin();
      ASSERT_EQ(table.plain.times[r][static_cast<std::size_t>(at)].end, end) << round;
    }
  }
}

// Whether the ring of a pipeline has two neighbours that are lost.
bool fatal(pipeline_job const& job) {
  for (worker const a : job.dead)
    for (worker const b : job.dead)
      if (a.pipeline == b.pipeline && (a.stage.value() + 1) % job.stages == b.stage.value())
        return true;
  return false;
}

// Every loss, at every step of small jobs and some of others, and a second one of any worker.
TEST(bamboo_laws, every_loss_has_a_plan_or_is_fatal) {
  random_cases random(12);
  int plans = 0, fatal_ones = 0;
  auto const judge = [&](pipeline_job const& job, std::int64_t step) {
    auto const answer = shadow_failover{.lockstep = step}(job);
    if (fatal(job)) {
      ++fatal_ones;
      ASSERT_EQ(answer.status, status::infeasible);
      ASSERT_NE(answer.reason.find("fatal"), text::npos);
      return;
    }
    ++plans;
    ASSERT_TRUE(answer.has_plan()) << answer.reason;
    ASSERT_EQ(lines(check(job, step, answer.plan)), "") << job.stages << " stages, step " << step;
    ASSERT_EQ(answer.objective, static_cast<double>(period(answer.plan.job, answer.plan.schedule)));
  };
  for (int round = 0; round < 25; ++round) {
    auto job = random_job(random);
    for (std::int32_t p = 0; p < job.pipelines; ++p)
      for (std::int32_t s = 0; s < job.stages; ++s) {
        job.dead = {{p, s}};
        std::int64_t const last = 2 * (std::int64_t{job.microbatches[p]} + job.stages - 1);
        for (std::int64_t step = 0; step <= last; ++step) judge(job, step);
        for (std::int32_t q = 0; q < job.pipelines; ++q)
          for (std::int32_t t = 0; t < job.stages; ++t) {
            if (p == q && s == t) continue;
            job.dead = {{p, s}, {q, t}};
            judge(job, random.roll(0, job.stages));
          }
      }
  }
  EXPECT_GT(plans, 1000);
  EXPECT_GT(fatal_ones, 100);
}

}  // namespace
}  // namespace shunt::tests::bamboo_laws

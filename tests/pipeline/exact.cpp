// The best plans of small jobs: the exact solver against all plans there are, and what searches by steps against the exact solver.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/solve/pipeline/branch_and_bound.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/improve_order.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"
#include "shunt/solve/portfolio.hpp"

namespace {

using namespace shunt;

class dice {
 public:
  explicit dice(std::uint64_t seed) : engine_(seed) {}
  std::int32_t roll(std::int32_t low, std::int32_t high) {
    return low + static_cast<std::int32_t>(engine_() % static_cast<std::uint64_t>(high - low + 1));
  }

 private:
  std::mt19937_64 engine_;
};

per_stage random_costs(dice& d, std::int32_t stages, std::int32_t low, std::int32_t high) {
  std::vector<ticks> each;
  for (std::int32_t s = 0; s < stages; ++s) each.push_back(d.roll(low, high));
  return per_stage(std::move(each));
}

pipeline_job job_of(std::int32_t pipelines, std::int32_t stages, std::int32_t microbatches, std::vector<worker> dead = {}) {
  return {.pipelines = pipelines, .stages = stages, .microbatches = microbatches, .dead = std::move(dead)};
}

std::string describe_job(pipeline_job const& job) {
  std::string text = "D=" + std::to_string(job.pipelines) + " S=" + std::to_string(job.stages) + " M=" + std::to_string(job.microbatches) +
                     " layout=" + std::string(to_string(job.layout.form())) + " transfer=" + std::to_string(job.transfer.within_node) +
                     " cap=" + std::to_string(static_cast<int>(job.memory.rule)) + "/" + std::to_string(job.memory.limit) + " costs";
  for (stage_id s : ids<stage_id>(job.stages))
    text += " " + std::to_string(job.costs.forward[s]) + "," + std::to_string(job.costs.backward_input[s]) + "," +
            std::to_string(job.costs.backward_weight[s]) + "," + std::to_string(job.costs.step[s]);
  for (worker const& w : job.dead) text += " dead " + std::string(describe(w));
  return text;
}

// All orders of all ranks, micro-batches of dead ranks where `routes` puts them, steps at the end; the least period of one kind of step.
class every_order {
 public:
  every_order(pipeline_job const& job, bool split, bool stagger) : job_(job), split_(split), plan_(empty_schedule(job)) {
    plan_.staggered_step = stagger;
    routes const to(job);
    todo_.resize(static_cast<std::size_t>(job.ranks()));
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (stage_id s : ids<stage_id>(job.stages))
        for (microbatch_id m : ids<microbatch_id>(job.microbatches)) todo_[job.rank_of({to.host(p, s, m), s}).index()].push_back({p, s, m});
    order(0);
  }
  ticks least = std::numeric_limits<ticks>::max();
  std::int64_t plans = 0;

 private:
  struct item {
    pipeline_id pipeline;
    stage_id stage;
    microbatch_id microbatch;
    int done = 0;
  };

  void order(std::int32_t r) {
    if (r == job_.ranks()) return judge();
    auto& list = plan_.order[r];
    bool any = false;
    for (item& x : todo_[static_cast<std::size_t>(r)]) {
      int const last = split_ ? 3 : 2;
      if (x.done == last) continue;
      any = true;
      auto const kind = x.done == 0 ? op_kind::forward : x.done == 2 ? op_kind::backward_weight : split_ ? op_kind::backward_input : op_kind::backward;
      list.push_back({kind, x.pipeline, x.stage, x.microbatch});
      ++x.done;
      if (kind != op_kind::forward || !job_.stash_limit(r) || stash_peak(job_, plan_)[r] <= *job_.stash_limit(r)) order(r);
      --x.done;
      list.pop_back();
    }
    if (any) return;
    auto const before = list.size();
    if (job_.alive(rank_id{r}))
      for (stage_id s : job_.stages_of(r)) list.push_back({.kind = op_kind::step, .stage = s});
    order(r + 1);
    list.resize(before);
  }

  void judge() {
    if (!graph_of(job_, plan_).executable()) return;
    ++plans;
    ticks const now = period(job_, plan_);
    if (now >= least) return;
    least = now;
    EXPECT_TRUE(check(job_, plan_).empty());
  }

  pipeline_job const& job_;
  bool split_;
  pipeline_schedule plan_;
  std::vector<std::vector<item>> todo_{};
};

struct small {
  pipeline_job job;
  bool split;
  int rounds;
};

TEST(exact, is_the_best_of_all_orders) {
  dice d(1);
  auto const with = [](pipeline_job job, stage_layout layout) {
    job.layout = std::move(layout);
    return job;
  };
  std::vector<small> const smalls = {
      {job_of(1, 2, 2), true, 12},
      {job_of(1, 2, 3), false, 3},
      {job_of(1, 3, 2), false, 12},
      {job_of(1, 3, 2), true, 3},
      {job_of(2, 1, 2, {{1, 0}}), false, 4},
      {job_of(2, 2, 1, {{1, 0}}), true, 12},
      {job_of(2, 2, 1, {{1, 0}, {0, 1}}), true, 12},
      {job_of(3, 2, 1, {{0, 1}, {2, 1}}), true, 12},
      {job_of(2, 2, 2, {{0, 1}}), false, 1},
      {job_of(3, 2, 1, {{1, 0}, {2, 1}}), true, 12},
      {with(job_of(2, 2, 1), stage_layout::bidirectional()), true, 8},
      {with(job_of(1, 4, 1), stage_layout::wave(2)), true, 8},
      {with(job_of(1, 4, 1), stage_layout::looped(2)), true, 8},
  };
  int proved = 0, capped = 0, above_the_bound = 0;
  for (auto const& [shape, split, rounds] : smalls)
    for (int round = 0; round < rounds; ++round)
      for (bool const stagger : {false, true}) {
        auto job = shape;
        job.costs = {.forward = random_costs(d, job.stages, 1, 6),
                     .backward_input = random_costs(d, job.stages, 1, 6),
                     .backward_weight = random_costs(d, job.stages, 0, 6),
                     .step = random_costs(d, job.stages, 0, 4)};
        job.transfer = d.roll(0, 2);
        if (d.roll(0, 2) > 0) job.memory = stash_cap::per_worker(d.roll(1, 2));
        SCOPED_TRACE(describe_job(job) + (split ? " split" : " fused") + (stagger ? " staggered" : ""));
        every_order const all(job, split, stagger);
        auto const answer = solve(job, branch_and_bound{.split = split, .stagger = stagger});
        ASSERT_EQ(answer.has_plan(), all.plans > 0);
        if (all.plans == 0) continue;
        EXPECT_EQ(answer.objective, static_cast<double>(all.least));
        EXPECT_TRUE(check(job, answer.plan).empty());
        EXPECT_EQ(answer.objective, static_cast<double>(period(job, answer.plan)));
        EXPECT_GE(answer.objective, answer.lower_bound);
        EXPECT_EQ(answer.status == status::optimal, answer.objective == answer.lower_bound);
        proved += answer.status == status::optimal;
        capped += job.memory.rule != stash_cap::kind::none;
        above_the_bound += answer.objective > static_cast<double>(period_bound(job, stagger));
      }
  EXPECT_GT(proved, 120);
  EXPECT_GT(capped, 80);
  EXPECT_GT(above_the_bound, 60);
}

}  // namespace

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/branch_and_bound.hpp"
#include "shunt/solve/pipeline/improve_order.hpp"
#include "shunt/solve/pipeline/search/equal_pipelines.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/relabellings.hpp"

namespace shunt::tests::improve_order_test {
namespace {

pipeline_job random_small_job(random_cases& d) {
  auto const pipelines = d.roll(1, 3), stages = d.roll(1, 4), microbatches = d.roll(1, 5);
  pipeline_job job = job_of(pipelines, stages, microbatches);
  switch (d.roll(0, 5)) {
    case 0: job.layout = stage_layout::looped(2); break;
    case 1: job.layout = stage_layout::v_shaped(); break;
    case 2: job.layout = stage_layout::bidirectional(); break;
    default: break;
  }
  if (job.layout.chunks() == 2) job.stages = d.roll(0, 1) == 0 ? 2 : 4;
  if (job.layout.form() == stage_layout::shape::bidirectional) job.pipelines = 2;
  job.costs = {.forward = d.costs(job.stages, 1, 9),
               .backward_input = d.costs(job.stages, 1, 9),
               .backward_weight = d.costs(job.stages, 0, 9),
               .step = d.costs(job.stages, 0, 5),
               .overlap_gain = d.roll(0, 2)};
  job.transfer = d.roll(0, 2) == 0 ? transfer_times(1, 4, 2) : transfer_times(d.roll(0, 3));
  if (d.roll(0, 2) == 0) job.memory = stash_cap::per_worker(d.roll(job.layout.chunks(), 6));
  for (rank_id r : ids<rank_id>(job.ranks()))
    if (d.roll(0, 6) == 0) job.dead.push_back(job.worker_of(r));
  return job;
}

// Any plan: operations in any order that works, micro-batches on any live rank of their stage,
// pairs overlapped here and there. One without an order where it got stuck under the cap.
pipeline_schedule random_plan(random_cases& d, pipeline_job const& job) {
  auto plan = empty_schedule(job);
  plan.staggered_step = d.roll(0, 1) == 0;
  bool const split = d.roll(0, 2) > 0;
  struct item {
    pipeline_id pipeline;
    microbatch_id microbatch;
    std::vector<rank_id> hosts{};
    std::int32_t forwards = 0, gradients = 0;
    std::vector<stage_id> weights{};
  };
  std::vector<item> items;
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (microbatch_id m : ids<microbatch_id>(job.microbatches[p])) {
      items.push_back({p, m});
      for (stage_id s : ids<stage_id>(job.stages)) {
        auto const live = job.live_holders(s);
        bool const own = job.alive(worker{p, s}) && d.roll(0, 4) > 0;
        items.back().hosts.push_back(own ? job.rank_of({p, s})
                                         : live[static_cast<std::size_t>(d.roll(
                                               0, static_cast<std::int32_t>(live.size()) - 1))]);
      }
    }
  for (;;) {
    std::vector<std::pair<std::size_t, operation>> possible;
    for (std::size_t i = 0; i < items.size(); ++i) {
      item const& x = items[i];
      if (x.forwards < job.stages) {
        rank_id const r = x.hosts[static_cast<std::size_t>(x.forwards)];
        operation const o{op_kind::forward, x.pipeline, x.forwards, x.microbatch};
        plan.order[r].push_back(o);
        if (!job.stash_limit(r) || stash_peak(job, plan)[r] <= *job.stash_limit(r))
          possible.emplace_back(i, o);
        plan.order[r].pop_back();
      } else if (x.gradients < job.stages) {
        possible.emplace_back(i, operation{split ? op_kind::backward_input : op_kind::backward,
                                           x.pipeline, job.stages - 1 - x.gradients, x.microbatch});
      }
      for (stage_id s : x.weights)
        possible.emplace_back(i, operation{op_kind::backward_weight, x.pipeline, s, x.microbatch});
    }
    if (possible.empty()) break;
    auto const [i, o] = possible[static_cast<std::size_t>(
        d.roll(0, static_cast<std::int32_t>(possible.size()) - 1))];
    item& x = items[i];
    plan.order[x.hosts[o.stage.index()]].push_back(o);
    if (o.kind == op_kind::forward) ++x.forwards;
    if (o.kind == op_kind::backward || o.kind == op_kind::backward_input) ++x.gradients;
    if (o.kind == op_kind::backward_input) x.weights.push_back(o.stage);
    if (o.kind == op_kind::backward_weight) std::erase(x.weights, o.stage);
  }
  if (d.roll(0, 1) == 0) plan.overlapped.resize(plan.order.size());
  for (rank_id r : ids<rank_id>(job.ranks())) {
    auto& list = plan.order[r];
    for (std::size_t i = 0; !plan.overlapped.empty() && i + 1 < list.size(); ++i) {
      bool const opposite =
          (list[i].kind == op_kind::forward) != (list[i + 1].kind == op_kind::forward);
      bool const weight =
          list[i].kind == op_kind::backward_weight || list[i + 1].kind == op_kind::backward_weight;
      bool const same =
          list[i].pipeline == list[i + 1].pipeline && list[i].microbatch == list[i + 1].microbatch;
      if (opposite && !weight && !same && d.roll(0, 2) == 0)
        plan.overlapped[r].push_back(static_cast<std::int32_t>(i++));
    }
    if (job.alive(r))
      for (stage_id s : job.stages_of(r)) list.push_back({.kind = op_kind::step, .stage = s});
  }
  return plan;
}

TEST(improve_order, is_never_worse_on_any_plan_of_any_layout) {
  random_cases d(2);
  int plans = 0, better = 0, layouts = 0, pairs = 0, moved = 0, broken = 0;
  for (int round = 0; round < 180; ++round) {
    auto const job = random_small_job(d);
    if (stage_without_worker(job)) continue;
    SCOPED_TRACE(describe_job(job));
    auto const plan = random_plan(d, job);
    improve_order const improver{.reroute = d.roll(0, 3) > 0, .effort = 30'000};
    auto const answer = improver(job, plan);
    EXPECT_EQ(answer, improver(job, plan));
    if (!check(job, plan).empty()) {
      ++broken;
      EXPECT_EQ(answer.plan, plan);
      continue;
    }
    ++plans;
    ASSERT_TRUE(answer.has_plan()) << answer.reason;
    EXPECT_TRUE(check(job, answer.plan).empty());
    EXPECT_EQ(answer.plan.staggered_step, plan.staggered_step);
    EXPECT_EQ(answer.objective, static_cast<double>(period(job, answer.plan)));
    EXPECT_GE(answer.objective, static_cast<double>(period_bound(job, plan.staggered_step)));
    EXPECT_LE(answer.objective, static_cast<double>(period(job, plan)));
    better += answer.objective < static_cast<double>(period(job, plan));
    layouts += job.layout != stage_layout::linear();
    pairs += !plan.overlapped.empty();
    for (rank_id r : ids<rank_id>(job.ranks())) {
      if (!improver.reroute) {
        EXPECT_TRUE(std::is_permutation(plan.order[r].begin(), plan.order[r].end(),
                                        answer.plan.order[r].begin(), answer.plan.order[r].end()));
      } else {
        moved += plan.order[r].size() != answer.plan.order[r].size();
      }
    }
  }
  EXPECT_GT(plans, 80);
  EXPECT_GT(better, 50);
  EXPECT_GT(layouts, 25);
  EXPECT_GT(pairs, 25);
  EXPECT_GT(moved, 3);
  EXPECT_GT(broken, 3);
}

// Chains of random size in which nothing but the order is left to find.
TEST(improve_order, comes_to_the_optimum_from_the_worst_plans) {
  random_cases d(3);
  int cases = 0, found = 0;
  for (int round = 0; round < 30; ++round) {
    auto const stages = d.roll(2, 3), microbatches = d.roll(2, 4);
    auto job = job_of(1, stages, microbatches);
    job.costs = {.forward = d.costs(job.stages, 1, 9),
                 .backward_input = d.costs(job.stages, 1, 9),
                 .backward_weight = d.costs(job.stages, 0, 9)};
    SCOPED_TRACE(describe_job(job));
    bool const stagger = d.roll(0, 1) == 0;
    auto plan = random_plan(d, job);
    plan.overlapped = {};
    plan.staggered_step = stagger;
    if (std::any_of(plan.order[0].begin(), plan.order[0].end(),
                    [](operation const& o) { return o.kind == op_kind::backward; }))
      continue;
    auto const best = solve(job, branch_and_bound{.stagger = stagger});
    if (best.status != status::optimal) continue;
    auto const answer = improve_order{.effort = 500'000}(job, plan);
    EXPECT_GE(answer.objective, best.objective);
    ++cases;
    found += answer.objective == best.objective;
  }
  EXPECT_GT(cases, 12);
  EXPECT_GE(found, cases - 1);
}

TEST(improve_order, does_the_same_when_costs_are_scaled) {
  random_cases d(6);
  auto const scaled = [](per_stage const& costs) {
    std::vector<ticks> each;
    for (ticks const c : costs.values()) each.push_back(c * 1000);
    return per_stage(std::move(each));
  };
  int changed = 0;
  for (int round = 0; round < 40; ++round) {
    auto job = random_small_job(d);
    if (stage_without_worker(job)) continue;
    SCOPED_TRACE(describe_job(job));
    auto plan = random_plan(d, job);
    plan.staggered_step =
        false;  // whole ticks: a period over several columns may be a fraction, which is rounded up
    if (!check(job, plan).empty()) continue;
    auto large = job;
    large.costs = {scaled(job.costs.forward), scaled(job.costs.backward_input),
                   scaled(job.costs.backward_weight), scaled(job.costs.step),
                   job.costs.overlap_gain * 1000};
    large.transfer = transfer_times(job.transfer.within_node * 1000,
                                    job.transfer.between_nodes * 1000, job.transfer.ranks_per_node);
    improve_order const improver{.effort = 20'000};
    auto const answer = improver(job, plan);
    EXPECT_EQ(answer.plan, improver(large, plan).plan);
    changed += answer.plan != plan;
  }
  EXPECT_GT(changed, 10);
}

TEST(improve_order, improves_copies_alike) {
  random_cases d(7);
  int better = 0;
  for (int round = 0; round < 20; ++round) {
    auto one = job_of(1, 3, d.roll(2, 5));
    one.costs = {d.costs(3, 1, 9), d.costs(3, 1, 9), d.costs(3, 1, 9)};
    auto job = one;
    job.pipelines = 3;
    auto const plan = random_plan(d, one);
    if (!check(one, plan).empty()) continue;
    improve_order const improver{.effort = 20'000};
    auto const single = improver(one, plan), all = improver(job, detail::copied_to_all(job, plan));
    EXPECT_EQ(all.plan, detail::copied_to_all(job, single.plan));
    EXPECT_EQ(all.objective, single.objective);
    better += all.objective < static_cast<double>(period(one, plan));
  }
  EXPECT_GT(better, 5);
}

}  // namespace
}  // namespace shunt::tests::improve_order_test

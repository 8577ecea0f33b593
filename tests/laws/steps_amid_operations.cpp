// Ranks of several stages may step one of them amid the operations of others. The programs of such
// plans are sound and run to their end, wherever the steps stand.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/program.hpp"
#include "shunt/check/program_transport.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/salvage.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/program/dependencies.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::steps_amid_operations_test {
namespace {

pipeline_job random_job(random_cases& d) {
  pipeline_job job{.pipelines = d.roll(1, 3), .stages = d.roll(2, 5), .microbatches = d.roll(1, 3)};
  // Any worker on any rank; every rank has one.
  std::int32_t const width = d.roll(1, std::min(job.workers(), 4));
  std::vector<rank_id> ranks;
  for (std::int32_t w = 0; w < job.workers(); ++w)
    ranks.push_back(w < width ? w : d.roll(0, width - 1));
  for (std::size_t w = ranks.size(); w-- > 1;)
    std::swap(ranks[w], ranks[static_cast<std::size_t>(d.roll(0, static_cast<int>(w)))]);
  job.layout = stage_layout::custom(std::move(ranks));
  job.costs = {d.costs(job.stages, 1, 3), d.costs(job.stages, 1, 3), d.costs(job.stages, 0, 2),
               d.costs(job.stages, 0, 2)};
  job.transfer = d.roll(0, 1);
  return job;
}

/// Runs operations in an order drawn by lot, each when its inputs are there, and each step at a
/// time drawn by lot after all operations of its stage.
pipeline_schedule random_plan(random_cases& d, pipeline_job const& job) {
  pipeline_schedule plan{.staggered_step = true};
  plan.order.resize(static_cast<std::size_t>(job.ranks()));
  struct task {
    operation what{};
    rank_id at{};
  };
  std::vector<task> left;
  bool const split = d.roll(0, 1) == 1;
  for (pipeline_id const p : ids<pipeline_id>(job.pipelines))
    for (stage_id const s : ids<stage_id>(job.stages))
      for (microbatch_id const m : ids<microbatch_id>(job.microbatches[p])) {
        rank_id const r = job.rank_of({p, s});
        left.push_back({{op_kind::forward, p, s, m}, r});
        left.push_back({{split ? op_kind::backward_input : op_kind::backward, p, s, m}, r});
        if (split) left.push_back({{op_kind::backward_weight, p, s, m}, r});
      }
  for (rank_id const r : ids<rank_id>(job.ranks()))
    for (stage_id const s : job.stages_of(r))
      left.push_back({{.kind = op_kind::step, .stage = s}, r});
  std::set<operation> done;
  std::vector<std::int64_t> of_stage(static_cast<std::size_t>(job.stages), 0);
  auto const all = std::int64_t{job.total_microbatches()} * (split ? 3 : 2);
  auto const ready = [&](operation o) {
    auto const has = [&](op_kind k, std::int32_t s) {
      return done.contains({k, o.pipeline, s, o.microbatch});
    };
    auto const gradient = split ? op_kind::backward_input : op_kind::backward;
    auto const s = o.stage.value();
    switch (o.kind) {
      case op_kind::forward: return s == 0 || has(op_kind::forward, s - 1);
      case op_kind::step: return of_stage[o.stage.index()] == all;
      case op_kind::backward_weight: return has(gradient, s);
      default: return has(op_kind::forward, s) && (s + 1 == job.stages || has(gradient, s + 1));
    }
  };
  while (!left.empty()) {
    auto const k = static_cast<std::size_t>(d.roll(0, static_cast<int>(left.size()) - 1));
    if (!ready(left[k].what)) continue;
    plan.order[left[k].at].push_back(left[k].what);
    if (left[k].what.kind != op_kind::step) {
      done.insert(left[k].what);
      ++of_stage[left[k].what.stage.index()];
    }
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(k));
  }
  return plan;
}

bool steps_amid(pipeline_schedule const& plan) {
  for (auto const& list : plan.order) {
    bool stepped = false;
    for (operation const& o : list) {
      if (stepped && o.kind != op_kind::step) return true;
      stepped = stepped || o.kind == op_kind::step;
    }
  }
  return false;
}

void have_sound_programs(int plans) {
  random_cases d(23);
  int amid = 0;
  for (int n = 0; n < plans; ++n) {
    auto const job = random_job(d);
    auto const plan = random_plan(d, job);
    ASSERT_TRUE(check(job, plan).empty());
    amid += steps_amid(plan);
    auto const p = n % 3 == 0 ? lower_salvageable(job, plan) : lower(job, plan);
    ASSERT_NO_THROW(require_runnable(p)) << "plan " << n;
    if (n % 16 != 0) continue;
    for (auto const& broken : {check(p), check_rendezvous(p), check_without_tags(p)})
      ASSERT_TRUE(broken.empty()) << "plan " << n << ": " << to_string(broken.front());
  }
  EXPECT_GT(amid, plans / 4);
}
TEST(steps_amid_operations, random_plans_have_sound_programs) { have_sound_programs(2'000); }
TEST(steps_amid_operations, many_random_plans_have_sound_programs_exhaustive) {
  have_sound_programs(20'000);
}

/// Rank 1 steps stage 2 before its last backward, for which rank 0 waits before it steps stage 2.
TEST(steps_amid_operations, a_reduction_does_not_wait_for_the_step_to_come) {
  pipeline_job const job{.pipelines = 2,
                         .stages = 3,
                         .microbatches = 1,
                         .costs = {1, 1, 1, 0},
                         .layout = stage_layout::custom({0, 1, 0, 0, 1, 1})};
  auto const f = [](int p, int s) { return operation{op_kind::forward, p, s, 0}; };
  auto const b = [](int p, int s) { return operation{op_kind::backward, p, s, 0}; };
  auto const step = [](int s) { return operation{.kind = op_kind::step, .stage = s}; };
  pipeline_schedule const plan{
      .order = {{f(1, 0), b(1, 0), f(0, 0), f(0, 2), b(0, 2), b(0, 0), step(2), step(0)},
                {f(1, 1), f(1, 2), b(1, 2), b(1, 1), f(0, 1), step(2), b(0, 1), step(1)}},
      .staggered_step = true};
  ASSERT_TRUE(check(job, plan).empty());
  EXPECT_TRUE(check(lower(job, plan)).empty());
}

}  // namespace
}  // namespace shunt::tests::steps_amid_operations_test

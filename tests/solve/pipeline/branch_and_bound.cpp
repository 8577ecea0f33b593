#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stop_token>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/core/error.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/branch_and_bound.hpp"
#include "shunt/solve/pipeline/improve_order.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/search/routes.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/each_order.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::branch_and_bound_test {
namespace {

// All orders of all ranks, micro-batches of dead ranks where `routes` puts them; the least period
// of one kind of step.
class every_order {
 public:
  every_order(pipeline_job const& job, bool split, bool stagger)
      : job_(job), plan_(empty_schedule(job)) {
    plan_.staggered_step = stagger;
    detail::routes const to(job);
    chains_.resize(static_cast<std::size_t>(job.ranks()));
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (stage_id s : ids<stage_id>(job.stages))
        for (microbatch_id m : ids<microbatch_id>(job.microbatches[p])) {
          auto& chain = chains_[job.rank_of({to.host(p, s, m), s}).index()].emplace_back();
          chain.push_back({op_kind::forward, p, s, m});
          chain.push_back({split ? op_kind::backward_input : op_kind::backward, p, s, m});
          if (split) chain.push_back({op_kind::backward_weight, p, s, m});
        }
    for (rank_id r : ids<rank_id>(job.ranks()))
      if (job.alive(r))
        for (stage_id s : job.stages_of(r))
          chains_[r.index()].push_back({{.kind = op_kind::step, .stage = s}});
    order(0);
  }
  ticks least = std::numeric_limits<ticks>::max();
  std::int64_t plans = 0;

 private:
  void order(std::int32_t r) {
    if (r == job_.ranks()) return judge();
    auto const& chains = chains_[static_cast<std::size_t>(r)];
    auto& list = plan_.order[r];
    // A step comes after all of its stage.
    auto const is_last = [&] {
      auto const s = list.back().stage;
      auto const is_of = [&](operation const& o) { return o.stage == s; };
      std::ptrdiff_t all = 0;
      for (auto const& chain : chains) all += std::count_if(chain.begin(), chain.end(), is_of);
      return std::count_if(list.begin(), list.end(), is_of) == all;
    };
    auto const fits = [&] {
      if (list.back().kind == op_kind::step) return is_last();
      return list.back().kind != op_kind::forward || !job_.stash_limit(r) ||
             stash_peak(job_, plan_)[r] <= *job_.stash_limit(r);
    };
    each_order(chains, list, fits, [&] { order(r + 1); });
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
  pipeline_schedule plan_;
  std::vector<std::vector<std::vector<operation>>> chains_{};  // by rank
};

struct small {
  pipeline_job job;
  bool split;
  int rounds;
};

TEST(branch_and_bound, is_the_best_of_all_orders_exhaustive) {
  random_cases d(1);
  auto const with = [](pipeline_job job, stage_layout layout) {
    job.layout = std::move(layout);
    return job;
  };
  auto const uneven = [](per_pipeline counts, std::int32_t stages, std::vector<worker> dead = {}) {
    auto job = job_of(static_cast<std::int32_t>(counts.size()), stages, 1, std::move(dead));
    job.microbatches = std::move(counts);
    return job;
  };
  std::vector<small> const smalls = {
      {job_of(1, 2, 2), true, 12},
      {job_of(1, 2, 3), false, 3},
      {job_of(1, 3, 2), false, 12},
      {job_of(1, 3, 2), true, 1},
      {job_of(2, 1, 2, {{1, 0}}), false, 4},
      {job_of(2, 2, 1, {{1, 0}}), true, 12},
      {job_of(2, 2, 1, {{1, 0}, {0, 1}}), true, 12},
      {job_of(3, 2, 1, {{0, 1}, {2, 1}}), true, 12},
      {job_of(2, 2, 2, {{0, 1}}), false, 1},
      {job_of(3, 2, 1, {{1, 0}, {2, 1}}), true, 12},
      {job_of(3, 1, 1, {{0, 0}, {1, 0}}), true, 12},
      {job_of(2, 3, 1, {{0, 1}}), true, 12},
      {job_of(2, 3, 1, {{0, 1}, {1, 2}}), true, 12},
      {with(job_of(2, 2, 1), stage_layout::bidirectional()), true, 3},
      {with(job_of(1, 4, 1), stage_layout::wave(2)), true, 1},
      {with(job_of(1, 4, 1), stage_layout::looped(2)), true, 1},
      {uneven({2, 1}, 2), false, 6},
      {uneven({1, 2}, 2, {{0, 1}}), false, 1},
      {uneven({2, 1}, 1, {{0, 0}}), true, 2},
      {with(uneven({1, 2}, 2), stage_layout::custom({0, 1, 2, 2})), false, 3},
      {with(uneven({2, 1}, 2), stage_layout::stage_major(2, 2)), false, 3},
  };
  int proved = 0, capped = 0, above_the_bound = 0;
  for (auto const& [shape, split, rounds] : smalls)
    for (int round = 0; round < rounds; ++round)
      for (bool const stagger : {false, true}) {
        auto job = shape;
        job.costs = {.forward = d.costs(job.stages, 1, 6),
                     .backward_input = d.costs(job.stages, 1, 6),
                     .backward_weight = d.costs(job.stages, 0, 6),
                     .step = d.costs(job.stages, 0, 4)};
        job.transfer = d.roll(0, 2);
        if (d.roll(0, 2) > 0) job.memory = stash_cap::per_worker(d.roll(1, 2));
        SCOPED_TRACE(describe_job(job) + (split ? " split" : " fused") +
                     (stagger ? " staggered" : ""));
        every_order const all(job, split, stagger);
        auto const answer = solve(job, branch_and_bound{.split = split, .stagger = stagger});
        ASSERT_EQ(answer.has_plan(), all.plans > 0);
        if (all.plans == 0) continue;
        EXPECT_LE(answer.lower_bound, static_cast<double>(all.least));
        EXPECT_GE(answer.objective, static_cast<double>(all.least));
        if (job.layout == stage_layout::linear() || !stagger) {
          EXPECT_EQ(answer.status, status::optimal);  // and so the objective is the least
        }
        EXPECT_TRUE(check(job, answer.plan).empty());
        EXPECT_EQ(answer.objective, static_cast<double>(period(job, answer.plan)));
        EXPECT_GE(answer.objective, answer.lower_bound);
        EXPECT_EQ(answer.status == status::optimal, answer.objective == answer.lower_bound);
        proved += answer.status == status::optimal;
        capped += job.memory.rule != stash_cap::kind::none;
        above_the_bound += answer.objective > static_cast<double>(period_bound(job, stagger));
      }
  EXPECT_GT(proved, 100);
  EXPECT_GT(capped, 60);
  EXPECT_GT(above_the_bound, 20);
}

// S = 4, M = 6, equal unit costs: the optima that an answer-set solver found for SlipStream's
// figures.
TEST(branch_and_bound, known_optima) {
  auto const none = job_of(3, 4, 6), lost = job_of(3, 4, 6, {{1, 2}});
  auto const capped = [](pipeline_job job) {
    job.memory = stash_cap::one_f_one_b();
    return job;
  };
  struct known {
    pipeline_job job;
    branch_and_bound solver;
    double optimum;
  };
  auto const paper = [](bool split, bool stagger) {
    return branch_and_bound{
        .split = split, .stagger = stagger, .rule = routing::round_robin, .most_nodes = 20'000};
  };
  auto unequal = job_of(1, 2, 4);
  unequal.costs = {.forward = {5, 10}, .backward_input = {5, 10}, .backward_weight = {1, 1}};
  for (auto const& [job, solver, optimum] : std::vector<known>{
           {capped(none), paper(false, false), 27},
           {none, paper(true, false), 21},
           {none, paper(true, true), 19},
           {capped(lost), paper(false, false), 36},
           {lost, paper(true, false), 29},
           {lost, paper(true, true), 27},
           {job_of(3, 4, 6, {{0, 2}, {1, 2}}), paper(true, true), 54},
           {unequal, paper(true, true), 91},
       }) {
    SCOPED_TRACE(describe_job(job));
    auto const answer = solve(job, solver);
    EXPECT_EQ(answer.status, status::optimal);
    EXPECT_EQ(answer.objective, optimum);
    EXPECT_TRUE(check(job, answer.plan).empty());
  }
}

TEST(branch_and_bound, says_what_it_could_not_prove) {
  auto job = job_of(3, 4, 6, {{1, 2}});
  job.memory = stash_cap::per_worker(5);
  auto const few = solve(job, branch_and_bound{.most_nodes = 300});
  EXPECT_EQ(few.status, status::feasible);
  EXPECT_GE(few.objective, 28);
  EXPECT_GE(few.lower_bound, 27);
  EXPECT_LT(few.lower_bound, few.objective);
  EXPECT_TRUE(check(job, few.plan).empty());
  EXPECT_EQ(solve(job, branch_and_bound{.most_nodes = 0}).status, status::limit_reached);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(branch_and_bound{.most_nodes = 256}(job, stop.get_token()).status,
            status::limit_reached);

  auto const gone = solve(job_of(1, 2, 2, {{0, 1}}), branch_and_bound{});
  EXPECT_EQ(gone.status, status::infeasible);
  EXPECT_NE(gone.reason.find("stage 1"), text::npos);
  auto locked = job_of(1, 4, 2);  // one stash for two stages of a rank: the second forward waits
                                  // for the first backward, which waits for it
  locked.layout = stage_layout::looped(2);
  locked.memory = stash_cap::per_worker(1);
  auto const none = solve(locked, branch_and_bound{});
  EXPECT_EQ(none.status, status::infeasible);
  EXPECT_NE(none.reason.find("cap"), text::npos);
  EXPECT_THROW((void)solve(job_of(1, 0, 2), branch_and_bound{}), invalid_problem);
}

// What searches in steps is at or above what was proved, and close to it under caps.
TEST(branch_and_bound, is_at_or_below_every_search) {
  random_cases d(4);
  int cases = 0, at_the_optimum = 0;
  double distance = 0;
  for (int round = 0; round < 40; ++round) {
    auto const pipelines = d.roll(1, 2), stages = d.roll(2, 4), microbatches = d.roll(2, 5);
    auto job = job_of(pipelines, stages, microbatches);
    auto const low = d.roll(0, 1) == 0 ? 1 : 80, high = low == 1 ? 20 : 120;
    job.costs = {d.costs(job.stages, low, high), d.costs(job.stages, low, high),
                 d.costs(job.stages, low, high)};
    job.transfer = d.roll(0, 5);
    job.memory = stash_cap::per_worker(d.roll(2, job.stages + 1));
    if (job.pipelines > 1 && d.roll(0, 2) == 0)
      job.dead = {{d.roll(0, 1), d.roll(0, job.stages - 1)}};
    SCOPED_TRACE(describe_job(job));
    bool const stagger = d.roll(0, 1) == 0;
    auto const best = solve(job, branch_and_bound{.stagger = stagger, .most_nodes = 5'000});
    ASSERT_TRUE(best.has_plan());
    EXPECT_GE(best.lower_bound, static_cast<double>(period_bound(job, stagger)));
    if (best.status != status::optimal) continue;
    auto const search = slipstream{.stagger = stagger, .pool = false, .effort = 100'000} |
                        improve_order{.reroute = false, .effort = 400'000};
    auto const answer = solve(job, search);
    if (job.dead.empty()) {  // with dead ranks a search may route otherwise
      EXPECT_GE(answer.objective, best.objective);
    }
    ++cases;
    at_the_optimum += answer.objective <= best.objective;
    distance += std::max(0.0, answer.objective / best.objective - 1);
  }
  EXPECT_GT(cases, 20);
  EXPECT_GE(at_the_optimum * 100, cases * 90);
  EXPECT_LE(distance / cases, 0.002);
}

}  // namespace
}  // namespace shunt::tests::branch_and_bound_test

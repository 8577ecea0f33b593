// The best plans of small jobs: the exact solver against all plans there are, and what searches by
// steps against the exact solver.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "dice.hpp"
#include "shunt/check/pipeline.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/solve/pipeline/branch_and_bound.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/improve_order.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/search/equal_pipelines.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"
#include "shunt/solve/portfolio.hpp"

namespace {

using namespace shunt;
using shunt_tests::dice;

pipeline_job job_of(std::int32_t pipelines, std::int32_t stages, std::int32_t microbatches,
                    std::vector<worker> dead = {}) {
  return {.pipelines = pipelines,
          .stages = stages,
          .microbatches = microbatches,
          .dead = std::move(dead)};
}

std::string describe_job(pipeline_job const& job) {
  std::string text = "D=" + std::to_string(job.pipelines) + " S=" + std::to_string(job.stages) +
                     " M=" + std::to_string(job.microbatches) +
                     " layout=" + std::string(to_string(job.layout.form())) +
                     " transfer=" + std::to_string(job.transfer.within_node) +
                     " cap=" + std::to_string(static_cast<int>(job.memory.rule)) + "/" +
                     std::to_string(job.memory.limit) + " costs";
  for (stage_id s : ids<stage_id>(job.stages))
    text += " " + std::to_string(job.costs.forward[s]) + "," +
            std::to_string(job.costs.backward_input[s]) + "," +
            std::to_string(job.costs.backward_weight[s]) + "," + std::to_string(job.costs.step[s]);
  for (worker const& w : job.dead) text += " dead " + std::string(describe(w));
  return text;
}

// All orders of all ranks, micro-batches of dead ranks where `routes` puts them; the least period
// of one kind of step.
class every_order {
 public:
  every_order(pipeline_job const& job, bool split, bool stagger)
      : job_(job), split_(split), plan_(empty_schedule(job)) {
    plan_.staggered_step = stagger;
    routes const to(job);
    todo_.resize(static_cast<std::size_t>(job.ranks()));
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (stage_id s : ids<stage_id>(job.stages))
        for (microbatch_id m : ids<microbatch_id>(job.microbatches))
          todo_[job.rank_of({to.host(p, s, m), s}).index()].push_back({p, s, m});
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
      auto const kind = x.done == 0   ? op_kind::forward
                        : x.done == 2 ? op_kind::backward_weight
                        : split_      ? op_kind::backward_input
                                      : op_kind::backward;
      list.push_back({kind, x.pipeline, x.stage, x.microbatch});
      ++x.done;
      if (kind != op_kind::forward || !job_.stash_limit(r) ||
          stash_peak(job_, plan_)[r] <= *job_.stash_limit(r))
        order(r);
      --x.done;
      list.pop_back();
    }
    if (job_.alive(rank_id{r}))
      for (stage_id s : job_.stages_of(r)) {
        auto const of_stage = [&](operation const& o) { return o.stage == s; };
        auto const stepped = [&](operation const& o) {
          return of_stage(o) && o.kind == op_kind::step;
        };
        if (std::any_of(list.begin(), list.end(), stepped)) continue;
        auto const& own = todo_[static_cast<std::size_t>(r)];
        bool const ready = std::all_of(own.begin(), own.end(), [&](item const& x) {
          return x.stage != s || x.done == (split_ ? 3 : 2);
        });
        if (ready) {
          list.push_back({.kind = op_kind::step, .stage = s});
          order(r);
          list.pop_back();
        }
        any = true;
      }
    if (!any) order(r + 1);
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

TEST(exact, is_the_best_of_all_orders_exhaustive) {
  dice d(1);
  auto const with = [](pipeline_job job, stage_layout layout) {
    job.layout = std::move(layout);
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
TEST(exact, known_optima) {
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

TEST(exact, says_what_it_could_not_prove) {
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

pipeline_job random_job(dice& d) {
  pipeline_job job = job_of(d.roll(1, 3), d.roll(1, 4), d.roll(1, 5));
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
pipeline_schedule random_plan(dice& d, pipeline_job const& job) {
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
    for (microbatch_id m : ids<microbatch_id>(job.microbatches)) {
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
  dice d(2);
  int plans = 0, better = 0, layouts = 0, pairs = 0, moved = 0, broken = 0;
  for (int round = 0; round < 180; ++round) {
    auto const job = random_job(d);
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
  dice d(3);
  int cases = 0, found = 0;
  for (int round = 0; round < 30; ++round) {
    auto job = job_of(1, d.roll(2, 3), d.roll(2, 4));
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
  dice d(6);
  auto const scaled = [](per_stage const& costs) {
    std::vector<ticks> each;
    for (ticks const c : costs.values()) each.push_back(c * 1000);
    return per_stage(std::move(each));
  };
  int changed = 0;
  for (int round = 0; round < 40; ++round) {
    auto job = random_job(d);
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
  dice d(7);
  int better = 0;
  for (int round = 0; round < 20; ++round) {
    auto one = job_of(1, 3, d.roll(2, 5));
    one.costs = {d.costs(3, 1, 9), d.costs(3, 1, 9), d.costs(3, 1, 9)};
    auto job = one;
    job.pipelines = 3;
    auto const plan = random_plan(d, one);
    if (!check(one, plan).empty()) continue;
    improve_order const improver{.effort = 20'000};
    auto const single = improver(one, plan), all = improver(job, copied_to_all(job, plan));
    EXPECT_EQ(all.plan, copied_to_all(job, single.plan));
    EXPECT_EQ(all.objective, single.objective);
    better += all.objective < static_cast<double>(period(one, plan));
  }
  EXPECT_GT(better, 5);
}

// What searches in steps is at or above what was proved, and close to it under caps.
TEST(exact, is_at_or_below_every_search) {
  dice d(4);
  int cases = 0, at_the_optimum = 0;
  double distance = 0;
  for (int round = 0; round < 40; ++round) {
    auto job = job_of(d.roll(1, 2), d.roll(2, 4), d.roll(2, 5));
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

TEST(portfolio, is_never_worse_than_its_parts) {
  dice d(5);
  int mixed = 0;
  for (int round = 0; round < 60; ++round) {
    std::int32_t const pipelines = d.roll(1, 2), stages = d.roll(2, 3);
    auto job = job_of(pipelines, stages, d.roll(2, 4));
    job.costs = {d.costs(job.stages, 1, 9), d.costs(job.stages, 1, 9), d.costs(job.stages, 0, 9)};
    if (d.roll(0, 1) == 0) job.memory = stash_cap::per_worker(d.roll(1, 3));
    SCOPED_TRACE(describe_job(job));
    auto const first = one_f_one_b{} | stagger_step{};
    auto const second = slipstream{.effort = 2'000} | improve_order{.effort = 1'000};
    branch_and_bound const third{.most_nodes = 2'000};
    auto const a = solve(job, first), b = solve(job, second), c = solve(job, third);
    auto const all = solve(job, portfolio(first, second, third));
    EXPECT_TRUE(check(job, all.plan).empty());
    EXPECT_EQ(all, portfolio(first, second, third)(job, std::stop_token{}));
    for (auto const& part : {a, b, c})
      if (part.has_plan()) {
        EXPECT_LE(all.objective, part.objective);
      }
    bool const every = third.bounds_every_plan(job);
    EXPECT_EQ(every, job.pipelines == 1);
    if (every && a.status != status::optimal && b.status != status::optimal) {
      EXPECT_EQ(all.lower_bound, c.lower_bound);
      EXPECT_EQ(all.status == status::optimal, all.objective == c.lower_bound);
      mixed += all.plan == b.plan && c.lower_bound > b.lower_bound;
    }
    if (!every) {
      EXPECT_EQ(all.lower_bound, static_cast<double>(period_bound(job, true)));
    }
  }
  EXPECT_GT(mixed, 3);
}

TEST(portfolio, stops_and_falls_back) {
  auto job = job_of(1, 3, 4);
  job.memory = stash_cap::per_worker(3);
  auto const both = portfolio(gpipe{}, one_f_one_b{});  // the first has no plan under the cap
  EXPECT_FALSE(solve(job, gpipe{}).has_plan());
  EXPECT_EQ(solve(job, both), solve(job, one_f_one_b{}));
  EXPECT_EQ(solve(job, portfolio(gpipe{}, gpipe{})), solve(job, gpipe{}));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(portfolio(one_f_one_b{}, branch_and_bound{})(job, stop.get_token()),
            solve(job, one_f_one_b{}));
  EXPECT_LT(solve(job, portfolio(one_f_one_b{}, branch_and_bound{})).objective,
            solve(job, one_f_one_b{}).objective);
}
static_assert(anytime_solver_for<portfolio<one_f_one_b, branch_and_bound>, pipeline_job>);
static_assert(std::string_view(portfolio<gpipe>::name) == "portfolio");

}  // namespace

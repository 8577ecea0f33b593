// What must hold where workers are dead: routes, bounds, plans for any layout, who changes seats,
// and the store of plans.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dice.hpp"
#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/solve/pipeline/branch_and_bound.hpp"
#include "shunt/solve/pipeline/normalize_failures.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/schedule_store.hpp"
#include "shunt/solve/pipeline/search/forward_backward.hpp"
#include "shunt/solve/pipeline/search/list_schedule.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"

namespace {

using namespace shunt;
using shunt_tests::dice;
using shunt_tests::lines;

void kill_some(dice& d, pipeline_job& job, std::int32_t one_in) {
  for (rank_id r : ids<rank_id>(job.ranks())) {
    if (d.roll(1, one_in) > 1) continue;
    job.dead.push_back(job.worker_of(r));
    if (stage_without_worker(job)) job.dead.pop_back();
  }
}

// Any layout, unequal costs, links within and between nodes, caps that fit.
pipeline_job random_job(dice& d, bool any_layout) {
  pipeline_job job{.pipelines = d.roll(2, 4), .stages = d.roll(2, 6), .microbatches = d.roll(1, 9)};
  std::int32_t const form = any_layout ? d.roll(1, 4) : 0;
  if (form == 1) job.layout = stage_layout::looped(2);
  if (form == 2) job.layout = stage_layout::wave(2);
  if (form == 3) job.layout = stage_layout::bidirectional();
  if (form == 1 || form == 2) job.stages += job.stages % 2;
  if (form == 3) job.pipelines += job.pipelines % 2;
  if (form == 4) {
    std::vector<rank_id> ranks;
    for (std::int32_t p = 0; p < job.pipelines; ++p)
      for (std::int32_t s = 0; s < job.stages; ++s)
        ranks.push_back(p * 2 + (s * 2 < job.stages ? 0 : 1));
    job.layout = stage_layout::custom(std::move(ranks));
  }
  job.costs = {d.costs(job.stages, 1, 9), d.costs(job.stages, 1, 9), d.costs(job.stages, 0, 9),
               d.costs(job.stages, 0, 4)};
  job.transfer = d.roll(0, 1) == 0 ? transfer_times(d.roll(0, 3))
                                   : transfer_times(d.roll(0, 2), d.roll(2, 5), d.roll(1, 5));
  if (d.roll(0, 2) == 0) {
    job.stash = {.forward = d.costs(job.stages, 2, 4), .backward_input = d.costs(job.stages, 0, 2)};
    std::vector<std::int64_t> limits;
    for (rank_id r : ids<rank_id>(job.ranks()))
      limits.push_back(4 * static_cast<std::int64_t>(job.stages_of(r).size()) + d.roll(0, 8));
    job.memory = stash_cap::per_rank(std::move(limits));
  }
  kill_some(d, job, 5);
  return job;
}

std::string describe_job(pipeline_job const& job) {
  std::string text = "D=" + std::to_string(job.pipelines) + " S=" + std::to_string(job.stages) +
                     " M=" + std::to_string(job.microbatches) +
                     " layout=" + std::string(to_string(job.layout.form())) +
                     " cap=" + std::to_string(static_cast<int>(job.memory.rule)) + " costs";
  for (stage_id s : ids<stage_id>(job.stages))
    text += " " + std::to_string(job.costs.forward[s]) + "," +
            std::to_string(job.costs.backward_input[s]) + "," +
            std::to_string(job.costs.backward_weight[s]) + "," + std::to_string(job.costs.step[s]);
  for (worker const& w : job.dead) text += " dead " + std::string(describe(w));
  return text;
}

TEST(failures, slipstream_plans_any_job_with_a_live_rank_at_each_stage) {
  dice d(11);
  std::map<stage_layout::shape, int> optimal;
  for (int round = 0; round < 80; ++round) {
    auto const job = random_job(d, round % 2 == 1);
    SCOPED_TRACE(describe_job(job));
    for (bool const stagger : {false, true}) {
      slipstream const solver{.stagger = stagger,
                              .rule = round % 3 == 0 ? routing::round_robin : routing::by_load,
                              .effort = 30'000};
      auto const answer = solve(job, solver);
      ASSERT_TRUE(answer.has_plan()) << answer.reason;
      EXPECT_EQ(answer, solve(job, solver));
      EXPECT_EQ(lines(check(job, answer.plan)), "");
      EXPECT_EQ(answer.objective, static_cast<double>(period(job, answer.plan)));
      EXPECT_EQ(answer.lower_bound, static_cast<double>(period_bound(job, stagger)));
      EXPECT_GE(answer.objective, answer.lower_bound);
      EXPECT_EQ(answer.status == status::optimal, answer.objective == answer.lower_bound);
      auto const peak = stash_peak(job, answer.plan);
      for (rank_id r : ids<rank_id>(job.ranks()))
        EXPECT_LE(peak[r], job.stash_limit(r).value_or(peak[r]));
      optimal[job.layout.form()] += answer.status == status::optimal;
    }
  }
  EXPECT_GT(optimal[stage_layout::shape::linear], 20);
  EXPECT_GT(optimal.size(), 3u);
}

// Whatever the effort, one order is tried.
TEST(failures, slipstream_without_effort_has_a_plan) {
  dice d(21);
  for (int round = 0; round < 30; ++round) {
    auto job = random_job(d, true);
    job.memory = stash_cap::none();
    SCOPED_TRACE(describe_job(job));
    for (std::int64_t const effort : {-1, 0, 1}) {
      auto const answer = solve(job, slipstream{.effort = effort});
      ASSERT_TRUE(answer.has_plan()) << answer.reason;
      EXPECT_EQ(lines(check(job, answer.plan)), "");
    }
  }
}

// All ranks of the column with both stages are dead; other columns do its work.
TEST(failures, a_column_without_a_live_rank_has_no_span) {
  pipeline_job job{.pipelines = 3,
                   .stages = 2,
                   .microbatches = 3,
                   .costs = {.forward = {2, 1}, .backward_input = {1, 3}, .step = {1, 2}},
                   .dead = {{0, 0}, {2, 0}},
                   .layout = stage_layout::custom({0, 1, 2, 1, 3, 3})};
  list_scheduler scheduler(job, true);
  scheduler.run(stage_policies(2));
  ASSERT_TRUE(scheduler.complete());
  justifier improved(job, scheduler.schedule(true));
  columns const in(job);
  improved.backwards(column_starts(in.all.size(), 100), false);
  int empty = 0;
  for (std::size_t c = 0; c < in.all.size(); ++c) {
    EXPECT_EQ(scheduler.spans()[c] == interval{}, in.all[c].live.empty());
    EXPECT_EQ(improved.spans()[c] == interval{}, in.all[c].live.empty());
    empty += in.all[c].live.empty();
  }
  EXPECT_EQ(empty, 1);
  auto const answer = solve(job, slipstream{.effort = 20'000});
  ASSERT_TRUE(answer.has_plan()) << answer.reason;
  EXPECT_EQ(lines(check(job, answer.plan)), "");
  EXPECT_LE(answer.objective, solve(job, slipstream{.stagger = false, .effort = 20'000}).objective);
}

TEST(failures, what_has_no_plan_is_named) {
  pipeline_job job{.pipelines = 2, .stages = 3, .microbatches = 4, .dead = {{0, 1}, {1, 1}}};
  auto answer = solve(job, slipstream{});
  EXPECT_EQ(answer.status, status::infeasible);
  EXPECT_EQ(answer.reason, "stage 1 has no live worker");
  EXPECT_EQ(solve(job, normalize_failures{}).reason, "stage 1 has no live worker");
  job.dead = {{0, 1}};
  answer = solve(job, slipstream{.reroute = false});
  EXPECT_EQ(answer.status, status::infeasible);
  EXPECT_EQ(answer.reason, "worker 0:1 is dead and its micro-batches are not re-routed");
  job.memory = stash_cap::per_rank({5, 5, 5, 5, 1, 5});
  job.stash.forward = 2;
  answer = solve(job, slipstream{});
  EXPECT_EQ(answer.status, status::infeasible);
  EXPECT_EQ(answer.reason,
            "stage 1 stashes 2 a micro-batch, more than the cap of its live workers");
  job.dead = {};  // the one that has room takes all
  answer = solve(job, slipstream{.effort = 50'000});
  ASSERT_TRUE(answer.has_plan()) << answer.reason;
  EXPECT_EQ(lines(check(job, answer.plan)), "");
  EXPECT_EQ(answer.plan.order[job.rank_of({1, 1})].size(), 1u);  // its step
  pipeline_job folded{.stages = 4,
                      .microbatches = 2,
                      .memory = stash_cap::per_worker(1),
                      .layout = stage_layout::wave(2)};
  answer = solve(folded, slipstream{});
  EXPECT_EQ(answer.status, status::limit_reached);
  EXPECT_EQ(answer.reason, "no order found under the stash cap");
}

TEST(failures, no_live_rank_gets_more_than_its_share) {
  dice d(12);
  for (int round = 0; round < 300; ++round) {
    auto job = random_job(d, round % 2 == 1);
    job.memory = stash_cap::none();
    SCOPED_TRACE(describe_job(job));
    for (auto const rule : {routing::by_load, routing::round_robin, routing::pooled}) {
      routes const to(job, rule, d.roll(0, 3));
      for (stage_id s : ids<stage_id>(job.stages)) {
        std::map<rank_id, std::int32_t> load;
        for (pipeline_id p : ids<pipeline_id>(job.pipelines))
          for (microbatch_id m : ids<microbatch_id>(job.microbatches)) {
            pipeline_id const host = to.host(p, s, m);
            EXPECT_TRUE(job.alive(worker{host, s}));
            if (job.alive(worker{p, s}) && rule != routing::pooled) {
              EXPECT_EQ(host, p);
            }
            ++load[job.rank_of({host, s})];
          }
        if (job.layout.form() == stage_layout::shape::custom) continue;  // may hold a stage twice
        auto const share = ceil_divide(job.microbatches_in_all(),
                                       static_cast<std::int32_t>(job.live_holders(s).size()));
        for (auto const& [rank, count] : load) EXPECT_LE(count, share);
      }
    }
  }
}

TEST(failures, by_load_prefers_the_cheaper_links) {
  // two nodes of two pipelines each: those next to the dead worker have room for half of its
  // micro-batches
  pipeline_job const job{
      .pipelines = 4, .stages = 2, .microbatches = 6, .transfer = {1, 50, 4}, .dead = {{0, 1}}};
  routes const to(job);
  int near = 0;
  for (microbatch_id m : ids<microbatch_id>(job.microbatches)) near += to.host(0, 1, m) == 1;
  EXPECT_EQ(near, 2);  // ceil(24 / 3) - 6 of its own
}

TEST(failures, bounds_do_not_depend_on_names_and_never_fall_with_another_failure) {
  dice d(13);
  for (int round = 0; round < 100; ++round) {
    auto job = random_job(d, false);
    job.transfer = d.roll(0, 3);
    job.memory = d.roll(0, 1) == 0 ? stash_cap::none() : stash_cap::per_worker(d.roll(4, 9));
    SCOPED_TRACE(describe_job(job));
    std::vector<std::int32_t> name(static_cast<std::size_t>(job.pipelines));
    std::iota(name.begin(), name.end(), 0);
    for (std::size_t i = name.size(); i-- > 1;)
      std::swap(name[i], name[static_cast<std::size_t>(d.roll(0, static_cast<std::int32_t>(i)))]);
    auto renamed = job;
    for (worker& w : renamed.dead) w.pipeline = name[w.pipeline.index()];
    for (bool const stagger : {false, true}) {
      EXPECT_EQ(period_bound(job, stagger), period_bound(renamed, stagger));
      slipstream const solver{.stagger = stagger, .effort = 3'000};
      EXPECT_EQ(solve(job, solver).lower_bound, solve(renamed, solver).lower_bound);
      auto worse = job;
      kill_some(d, worse, 4);
      std::set<worker> const dead(worse.dead.begin(), worse.dead.end());
      worse.dead.assign(dead.begin(), dead.end());
      EXPECT_FALSE(stage_without_worker(worse));
      EXPECT_GE(period_bound(worse, stagger), period_bound(job, stagger));
    }
  }
}

// The optimum that an exact search proves, where few ranks serve many: this is where the bound
// counts who comes when.
TEST(failures, the_least_transfer_is_the_least_over_all_pairs_of_live_ranks) {
  dice d(22);
  int between_is_cheaper = 0;
  for (int round = 0; round < 400; ++round) {
    auto job = random_job(d, round % 4 > 0);
    job.transfer = transfer_times(d.roll(0, 4), d.roll(0, 4), d.roll(1, 5));
    SCOPED_TRACE(describe_job(job));
    for (std::int32_t s = 0; s + 1 < job.stages; ++s) {
      ticks least = std::numeric_limits<ticks>::max();
      for (rank_id const a : job.live_holders(s))
        for (rank_id const b : job.live_holders(s + 1)) least = std::min(least, job.transfer(a, b));
      EXPECT_EQ(least_transfer(job, s), least);
      between_is_cheaper += least == job.transfer.between_nodes && least < job.transfer.within_node;
    }
  }
  EXPECT_GT(between_is_cheaper, 50);
}

TEST(failures, no_optimum_is_below_the_bound) {
  dice d(14);
  int proved = 0, tight = 0;
  for (int round = 0; round < 60; ++round) {
    pipeline_job job{
        .pipelines = d.roll(2, 3), .stages = d.roll(2, 3), .microbatches = d.roll(1, 2)};
    job.costs = {d.costs(job.stages, 1, 5), d.costs(job.stages, 1, 5), d.costs(job.stages, 0, 5),
                 0};
    job.transfer = d.roll(0, 2);
    if (d.roll(0, 2) == 0) job.memory = stash_cap::per_worker(d.roll(1, 2));
    kill_some(d, job, 2);
    if (job.dead.empty()) job.dead.push_back({0, d.roll(0, job.stages - 1)});
    SCOPED_TRACE(describe_job(job));
    for (auto const rule : {routing::by_load, routing::pooled})
      for (bool const stagger : {false, true}) {
        auto const exact =
            branch_and_bound{.stagger = stagger, .rule = rule, .most_nodes = 3'000}(job);
        if (!exact.has_plan()) continue;
        EXPECT_GE(period(job, exact.plan), period_bound(job, stagger));
        ++proved;
        tight += period(job, exact.plan) == period_bound(job, stagger);
      }
  }
  EXPECT_GT(proved, 100);
  EXPECT_GT(2 * tight, proved);
}

TEST(failures, the_list_schedulers_own_times_are_the_measured_ones) {
  dice d(15);
  for (int round = 0; round < 200; ++round) {
    auto const job = random_job(d, round % 2 == 1);
    SCOPED_TRACE(describe_job(job));
    list_scheduler scheduler(job, round % 3 > 0,
                             round % 5 == 0 ? routing::pooled : routing::by_load);
    stage_policies policies(static_cast<std::size_t>(job.stages));
    for (auto& p : policies) {
      p.prefer = d.roll(0, 1) == 0 ? stage_policy::first::input : stage_policy::first::forward;
      p.in_flight = d.roll(1, 9);
      p.guests_first = d.roll(0, 1) == 0;
      p.lag = d.roll(-2, 2);
    }
    for (bool const patient : {false, true}) {
      if (patient)
        for (auto& p : policies)
          p.patience = d.roll(0, 1) == 0 ? stage_policy::wait::forward : stage_policy::wait::weight;
      scheduler.run(policies);
      if (!scheduler.complete()) continue;  // caps of ranks with several stages
      auto const plan = scheduler.schedule(false);
      EXPECT_EQ(lines(check(job, plan)), "");
      EXPECT_LE(makespan(job, plan), scheduler.makespan());
      if (!patient) {
        EXPECT_EQ(makespan(job, plan), scheduler.makespan());
      }
    }
  }
}

TEST(failures, justified_schedules_are_plans_and_keep_their_limits) {
  dice d(16);
  for (int round = 0; round < 100; ++round) {
    auto job = random_job(d, round % 2 == 1);
    job.memory = stash_cap::none();
    SCOPED_TRACE(describe_job(job));
    list_scheduler scheduler(job, round % 3 > 0);
    scheduler.run(stage_policies(static_cast<std::size_t>(job.stages)));
    auto const first = scheduler.makespan();
    auto const all = scheduler.columns().all.size();
    justifier passes(job, scheduler.schedule(true));
    for (bool const patient : {false, true}) {
      passes.backwards(column_starts(all, first), patient);
      EXPECT_EQ(lines(check(job, passes.schedule(true))), "");
      ticks earliest = first;
      for (auto const& span : passes.spans()) {
        EXPECT_LE(span.end, first);
        earliest = std::min(earliest, span.start);
      }
      EXPECT_LE(makespan(job, passes.schedule(true)), first - earliest);
      passes.forwards(column_starts(all, 0), patient);
      EXPECT_EQ(lines(check(job, passes.schedule(true))), "");
      ticks last = 0;
      for (auto const& span : passes.spans()) last = std::max(last, span.end);
      EXPECT_LE(makespan(job, passes.schedule(true)), last);
      if (!patient) {
        EXPECT_EQ(makespan(job, passes.schedule(true)), last);
      }
    }
  }
}

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

TEST(failures, normalized_ones_hurt_least) {
  dice d(17);
  for (int round = 0; round < 300; ++round) {
    auto job = random_job(d, round % 3 == 2);
    if (job.layout.form() == stage_layout::shape::custom) job.layout = stage_layout::linear();
    if (job.memory.rule == stash_cap::kind::per_rank) job.memory = stash_cap::none();
    job.dead.clear();
    kill_some(d, job, 2);
    SCOPED_TRACE(describe_job(job));
    columns const in(job);
    auto const dead = static_cast<std::int32_t>(job.dead.size());
    normalize_failures const solver{.most_moves = d.roll(0, 3),
                                    .joining = d.roll(0, std::min(2, dead))};
    std::map<std::pair<std::size_t, std::int32_t>, ticks>
        table;  // of any shape, and not the same way up everywhere
    auto const cost = [&](std::size_t c, std::int32_t k) {
      auto const [at, fresh] = table.emplace(std::pair(c, k), d.roll(1, 30));
      return round % 2 == 0 ? at->second : column_cost(job)(c, k);
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
      EXPECT_EQ(static_cast<std::int32_t>(columns(after).all[c].live.size()),
                size[c] - answer.plan.failures[c]);
    for (seat_change const& change : answer.plan.changes) {
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

TEST(failures, alike_stages_are_hit_evenly) {
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
  EXPECT_EQ(column_cost(job)(0, 5), column_cost(job)(2, 5));
  EXPECT_THROW((void)column_cost(job)(0, 6), invalid_problem);  // nobody left
  EXPECT_THROW((void)column_cost(job)(0, -1), invalid_problem);
}

TEST(failures, a_store_has_the_plans_and_says_who_sits_where) {
  pipeline_job const job{.pipelines = 4, .stages = 3, .microbatches = 5, .costs = {.step = 1}};
  slipstream const solver{.effort = 20'000};
  schedule_store store(job, solver);
  EXPECT_EQ(store.prepare(4), 5u);
  dice d(18);
  for (int round = 0; round < 60; ++round) {
    auto broken = job;
    kill_some(d, broken, 3);
    SCOPED_TRACE(describe_job(broken));
    auto const exact = store.exact(broken.dead);
    EXPECT_EQ(exact->answer, solve(exact->job, solver));
    EXPECT_EQ(exact, store.exact(broken.dead));
    auto const spread = store.normalized(broken.dead);
    ASSERT_NE(spread.schedule, nullptr) << spread.reason;
    auto const& then = spread.schedule->job;
    EXPECT_EQ(then.dead.size(), broken.dead.size());
    std::set<rank_id> seated;
    std::size_t moved = 0;
    columns const in(job);
    for (rank_id seat : ids<rank_id>(job.ranks())) {
      rank_id const who = spread.played_by[seat];
      EXPECT_EQ(who >= 0, then.alive(seat));
      if (who < 0) continue;
      EXPECT_TRUE(broken.alive(who));
      EXPECT_TRUE(seated.insert(who).second);
      moved += in.of[who] != in.of[seat];
    }
    EXPECT_EQ(moved, spread.changes.size());
    for (seat_change const& change : spread.changes) {
      EXPECT_EQ(spread.played_by[change.to], *change.from);
      EXPECT_EQ(in.of[change.copied_from], in.of[change.to]);
      EXPECT_TRUE(broken.alive(change.copied_from));
    }
    EXPECT_LE(spread.schedule->answer.lower_bound, exact->answer.objective);
  }
  EXPECT_EQ(store.normalized({{0, 0}, {1, 0}, {2, 0}, {3, 0}}).reason,
            "stage 0 has no live worker");
  EXPECT_EQ(store.exact({{0, 0}, {1, 0}, {2, 0}, {3, 0}})->answer.reason,
            "stage 0 has no live worker");
  EXPECT_THROW((void)store.exact({{9, 0}}), invalid_problem);
  EXPECT_THROW(schedule_store<>({.pipelines = 2, .dead = {{0, 0}}}), invalid_problem);
  EXPECT_THROW(schedule_store<>({.pipelines = -1}), invalid_problem);
  EXPECT_THROW(schedule_store<>({.stages = 2, .layout = stage_layout::custom({0})}),
               invalid_problem);
}

TEST(failures, a_store_may_be_asked_by_several_threads) {
  schedule_store store(pipeline_job{.pipelines = 3, .stages = 2, .microbatches = 4},
                       slipstream{.effort = 5'000});
  std::vector<std::shared_ptr<stored_schedule const>> seen(8);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < seen.size(); ++i)
    threads.emplace_back([&store, &seen, i] {
      store.prepare(static_cast<std::int32_t>(i) % 3);
      seen[i] = store.exact({{static_cast<std::int32_t>(i % 2), 1}});
    });
  for (auto& t : threads) t.join();
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], seen[i % 2]);
  EXPECT_NE(seen[0], seen[1]);
}

}  // namespace

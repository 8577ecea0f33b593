#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/text.hpp"

namespace shunt::tests::golden_schedules_test {
namespace {

// A schedule as drawn: times from slot 1 become times from 0; what stands after the step is another
// iteration.
struct drawing {
  pipeline_schedule schedule{};
  timetable table{};
  std::map<std::int32_t, ticks>
      next_start{};  // by rank, where the drawing shows the next iteration
};

std::map<std::string, std::map<std::string, std::string>> sections() {
  std::ifstream file(SHUNT_TEST_DATA "/slipstream_schedules.txt");
  EXPECT_TRUE(file) << "no " SHUNT_TEST_DATA "/slipstream_schedules.txt";
  std::map<std::string, std::map<std::string, std::string>> all;
  std::string line, name;
  while (std::getline(file, line)) {
    if (line.empty() || (line[0] == '#' && line.rfind("## ", 0) != 0)) continue;
    std::istringstream words(line);
    std::string first, second, third;
    words >> first >> second;
    if (first == "##") {
      name = second;
      if (words >> second >> third) all[name] = all.at(third);  // "= base"
    } else {
      all[name][first] = line.substr(first.size());
    }
  }
  return all;
}

drawing read(pipeline_job const& job, std::string const& name) {
  drawing d{.schedule = empty_schedule(job)};
  d.table.times.resize(static_cast<std::size_t>(job.ranks()));
  auto const all = sections();
  EXPECT_TRUE(all.contains(name)) << name;
  for (auto const& [label, text] : all.at(name)) {
    worker const w{label[1] - '0', label[3] - '0'};
    rank_id const r = job.rank_of(w);
    std::istringstream entries(text);
    std::string entry;
    bool stepped = false;
    while (entries >> entry) {
      auto const at = entry.find('@');
      auto const plus = entry.find('+');
      ticks const start = std::stoll(entry.substr(at + 1)) - 1;
      ticks const length = plus == std::string::npos ? 1 : std::stoll(entry.substr(plus + 1));
      std::string const what = entry.substr(0, at);
      if (what == "opt") {
        if (!stepped) {
          d.schedule.order[r].push_back({.kind = op_kind::step, .stage = w.stage});
          d.table.times[r].push_back({start, start});
        }
        d.table.times[r].back().end = start + 1;
        stepped = true;
        continue;
      }
      if (stepped) {
        if (!d.next_start.contains(r.value())) d.next_start[r.value()] = start;
        continue;
      }
      auto const digits = what.find_first_of("0123456789");
      auto const kind = std::map<std::string, op_kind>{{"F", op_kind::forward},
                                                       {"B", op_kind::backward},
                                                       {"Bi", op_kind::backward_input},
                                                       {"Bw", op_kind::backward_weight}}
                            .at(what.substr(0, digits));
      int const number = std::stoi(what.substr(digits)) - 1;
      d.schedule.order[r].push_back(
          {kind, number / job.microbatches[0], w.stage, number % job.microbatches[0]});
      d.table.times[r].push_back({start, start + length});
    }
  }
  return d;
}

// Drawings of plain pipelines end with the last backward: all step after it.
void add_steps(pipeline_job const& job, drawing& d) {
  ticks const last = makespan(d.schedule, d.table);
  for (rank_id r : ids<rank_id>(job.ranks()))
    if (job.alive(job.worker_of(r))) {
      stage_id const s = job.worker_of(r).stage;
      d.schedule.order[r].push_back({.kind = op_kind::step, .stage = s});
      d.table.times[r].push_back({last, last + job.costs.step[s]});
    }
}

TEST(golden_schedules, fault_free_is_1f1b) {
  auto const job = paper_job();
  auto d = read(job, "fault_free");
  add_steps(job, d);
  EXPECT_EQ(lines(check(job, d.schedule, d.table)), "");
  EXPECT_EQ(makespan(d.schedule, d.table), 27);
  EXPECT_EQ(period(job, d.schedule, d.table), 30);
  auto const own = one_f_one_b{}(job).plan;
  EXPECT_EQ(own, d.schedule);
  EXPECT_EQ(makespan(job, own), 27);
  EXPECT_EQ(period(job, own), 30);
  EXPECT_DOUBLE_EQ(bubble_share(job, own), 9.0 / 30);
  for (rank_id r : ids<rank_id>(job.ranks()))
    EXPECT_EQ(stash_peak(job, own)[r], 4 - job.worker_of(r).stage.value());
}

TEST(golden_schedules, the_mended_poster_is_a_plan_with_period_30) {
  auto const job = paper_job_after_a_failure();
  auto d = read(job, "poster_mended");
  d.schedule.staggered_step = true;
  EXPECT_EQ(lines(check(job, d.schedule, d.table)), "");
  EXPECT_EQ(period(job, d.schedule, d.table), 30);
  EXPECT_EQ(period(job, d.schedule), 30);
  EXPECT_EQ(stash_peak(job, d.schedule)[job.rank_of({0, 2})], 7);
  ASSERT_GE(d.next_start.size(), 8u);
  for (auto const& [rank, start] : d.next_start)
    EXPECT_EQ(start - d.table.times[rank].front().start, 30) << "rank " << rank;
}

TEST(golden_schedules, the_posters_erratum_is_found) {
  auto const job = paper_job_after_a_failure();
  auto d = read(job, "poster");
  d.schedule.staggered_step = true;
  auto const found = check(job, d.schedule, d.table);
  ASSERT_EQ(found.size(), 1u) << lines(found);
  EXPECT_EQ(found[0].rule, pipeline_rule::dependency);
  EXPECT_EQ(found[0].operation,
            (operation{op_kind::backward_input, 2, 0, 5}));  // Bi18 of W2_0, drawn at slot 26
  EXPECT_EQ(found[0].related, (operation{op_kind::backward, 2, 1, 5}));  // B18 of W2_1
  EXPECT_EQ(found[0].count, 25);
  EXPECT_EQ(found[0].limit, 26);
}

TEST(golden_schedules, figure_3b_is_a_plan_under_the_caps_of_1f1b) {
  auto job = paper_job_after_a_failure();
  job.memory = stash_cap::one_f_one_b();
  auto d = read(job, "figure_3b");
  add_steps(job, d);
  EXPECT_EQ(lines(check(job, d.schedule, d.table)), "");
  EXPECT_EQ(makespan(d.schedule, d.table), 36);
  EXPECT_EQ(makespan(job, d.schedule), 36);
}

// Pipelines x stages x micro-batches, dead workers, parts of slipstream, and the makespan or span +
// 3 that is proved least or given.
TEST(golden_schedules, lengths_of_the_paper_and_of_exact_solvers) {
  auto const free = paper_job(), one = paper_job_after_a_failure();
  auto two = paper_job();
  two.dead = {{0, 2}, {1, 2}};
  auto const capped = [](pipeline_job job, stash_cap cap) {
    job.memory = cap;
    return job;
  };
  auto const makespan_of = [](pipeline_job const& job, slipstream const& solver) {
    auto const answer = solve(job, solver);
    EXPECT_EQ(lines(check(job, answer.plan, times(job, answer.plan))), "");
    return makespan(job, answer.plan);
  };
  auto const period_of = [](pipeline_job const& job, slipstream const& solver) {
    auto const answer = solve(job, solver);
    EXPECT_EQ(lines(check(job, answer.plan, steady_times(job, answer.plan))), "");
    EXPECT_EQ(period(job, answer.plan), answer.objective);
    return answer.objective;
  };
  slipstream const coupled{.split = false, .stagger = false}, split{.stagger = false}, all{};
  auto const cap = stash_cap::one_f_one_b();
  EXPECT_EQ(makespan_of(capped(free, cap), coupled), 27);
  EXPECT_EQ(makespan_of(free, split), 21);
  EXPECT_EQ(period_of(free, all), 19 + 3);
  EXPECT_EQ(makespan_of(capped(one, cap), coupled), 36);
  EXPECT_EQ(makespan_of(one, split), 29);
  EXPECT_EQ(period_of(one, all), 27 + 3);
  EXPECT_EQ(period_of(capped(one, stash_cap::per_worker(5)), all), 28 + 3);
  EXPECT_EQ(makespan_of(capped(two, cap), coupled), 63);
  EXPECT_EQ(period_of(two, all), 54 + 3);
  EXPECT_EQ(period_of({.stages = 4, .microbatches = 8}, all), 24);
  pipeline_job const unequal{
      .stages = 2, .microbatches = 4, .costs = {.forward = {5, 10}, .backward_input = {5, 10}}};
  EXPECT_EQ(period_bound(unequal, true), 91);  // 90 is proved infeasible
  EXPECT_EQ(period_of(unequal, all), 91);
}

}  // namespace
}  // namespace shunt::tests::golden_schedules_test

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/pipeline_times.hpp"
#include "shunt/compose/building_block.hpp"
#include "shunt/compose/from_block.hpp"
#include "shunt/compose/packed_block.hpp"
#include "shunt/measure/pipeline.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::building_block_test {
namespace {

/// Jobs of all layouts, with small unequal costs.
pipeline_job random_job(random_cases& d) {
  std::int32_t const ranks = d.roll(1, 4), chunks = d.roll(1, 3);
  pipeline_job job{.pipelines = 1, .stages = ranks, .microbatches = d.roll(1, 9)};
  switch (d.roll(0, 3)) {
    case 0: break;
    case 1: job.layout = stage_layout::looped(chunks), job.stages = ranks * chunks; break;
    case 2: job.layout = stage_layout::wave(chunks), job.stages = ranks * chunks; break;
    default: job.layout = stage_layout::bidirectional(), job.pipelines = 2; break;
  }
  auto const list = [&](std::int32_t low, std::int32_t high) {
    std::vector<ticks> values;
    for (std::int32_t s = 0; s < job.stages; ++s) values.push_back(d.roll(low, high));
    return per_stage(values);
  };
  job.costs = {.forward = list(1, 4), .backward_input = list(1, 4), .backward_weight = list(0, 4)};
  job.transfer = d.roll(0, 2);
  return job;
}

/// A block of the job with random waits; operations may overlap.
building_block random_block(pipeline_job const& job, random_cases& d) {
  building_block block{std::vector<block_offsets>(static_cast<std::size_t>(job.workers()))};
  for (pipeline_id p : ids<pipeline_id>(job.pipelines)) {
    auto const at = [&](std::int32_t s) -> block_offsets& {
      return block.stages[static_cast<std::size_t>(p.value() * job.stages + s)];
    };
    ticks now = d.roll(0, 3);
    for (std::int32_t s = 0; s < job.stages; ++s) {
      at(s).forward = now + d.roll(0, 3);
      now = at(s).forward + job.costs.forward[s] + job.transfer.within_node;
    }
    for (std::int32_t s = job.stages; s-- > 0;) {
      at(s).backward_input = now + d.roll(0, 3);
      now = at(s).backward_input + job.costs.backward_input[s] + job.transfer.within_node;
      at(s).backward_weight = at(s).backward_input + job.costs.backward_input[s] + d.roll(0, 6);
    }
  }
  return block;
}

/// Do any two operations of a rank overlap when `copies` micro-batches follow each other every
/// `period`?
bool overlap_somewhere(pipeline_job const& job, building_block const& block, ticks period,
                       std::int64_t copies) {
  for (rank_id r : ids<rank_id>(job.ranks())) {
    std::vector<interval> busy;
    for (worker const& w : job.workers_of(r))
      for (std::int64_t m = 0; m < copies; ++m) {
        auto const& o = block.of(w, job.stages);
        busy.push_back(
            {o.forward + m * period, o.forward + m * period + job.costs.forward[w.stage]});
        busy.push_back({o.backward_input + m * period,
                        o.backward_input + m * period + job.costs.backward_input[w.stage]});
        if (job.costs.backward_weight[w.stage] > 0)
          busy.push_back({o.backward_weight + m * period,
                          o.backward_weight + m * period + job.costs.backward_weight[w.stage]});
      }
    std::sort(busy.begin(), busy.end(), [](interval a, interval b) {
      return a.start != b.start ? a.start < b.start : a.end < b.end;
    });
    for (std::size_t i = 1; i < busy.size(); ++i)
      if (busy[i].start < busy[i - 1].end) return true;
  }
  return false;
}

TEST(building_block, least_period_agrees_with_trying_all) {
  random_cases d(5);
  int repeatable = 0;
  for (int round = 0; round < 200; ++round) {
    auto const job = random_job(d);
    auto const block = random_block(job, d);
    if (overlap_somewhere(job, block, 1000, 1)) {
      EXPECT_THROW(static_cast<void>(least_period(job, block)), invalid_problem);
      continue;
    }
    ++repeatable;
    ticks unit = 0;
    for (std::size_t i = 0; i < block.stages.size(); ++i) {
      stage_id const s = static_cast<std::int32_t>(i) % job.stages;
      for (ticks const t : {block.stages[i].forward, block.stages[i].backward_input,
                            block.stages[i].backward_weight, job.costs.forward[s],
                            job.costs.backward_input[s], job.costs.backward_weight[s]})
        unit = std::gcd(unit, t);
    }
    ticks period = unit;
    while (overlap_somewhere(job, block, period, 200 / period + 2)) period += unit;
    EXPECT_EQ(least_period(job, block), period) << "round " << round;
  }
  EXPECT_GT(repeatable, 50);
}

TEST(building_block, peak_is_what_many_microbatches_hold) {
  random_cases d(6);
  for (int round = 0; round < 200; ++round) {
    auto job = random_job(d);
    job.microbatches = 60;
    job.stash = {.forward = d.roll(2, 5), .backward_input = d.roll(0, 2)};
    auto const block = packed_block(job);
    auto const period = least_period(job, block);
    auto const plan = from_block{block, false}(job);
    ASSERT_TRUE(plan.has_plan()) << plan.reason;
    EXPECT_EQ(block_peak(job, block, period), stash_peak(job, plan.plan)) << "round " << round;
  }
}

TEST(building_block, plans_pass_the_judge_and_are_no_longer_than_the_block) {
  random_cases d(7);
  for (int round = 0; round < 150; ++round) {
    auto const job = random_job(d);
    block_pace const pace{{d.roll(0, 3), d.roll(0, 3)}, {d.roll(0, 3)}};
    auto const block = packed_block(job, {}, pace);
    auto const period = least_period(job, block);
    auto const plain = from_block{block, false}(job), squeezed = from_block{block}(job);
    ASSERT_TRUE(plain.has_plan()) << plain.reason;
    EXPECT_TRUE(check(job, plain.plan).empty());
    EXPECT_TRUE(check(job, squeezed.plan).empty());
    EXPECT_LE(squeezed.objective, plain.objective);
    EXPECT_GE(squeezed.objective, squeezed.lower_bound);
    ticks end = 0;  // of the last micro-batch, laid out as the block has it
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (stage_id s : ids<stage_id>(job.stages))
        end = std::max(end,
                       block.of({p, s}, job.stages).backward_weight + job.costs.backward_weight[s]);
    EXPECT_LE(makespan(job, plain.plan), end + (job.microbatches[0] - 1) * period)
        << "round " << round;
    auto const peak = block_peak(job, block, period), held = stash_peak(job, squeezed.plan);
    for (rank_id r : ids<rank_id>(job.ranks())) EXPECT_LE(held[r], peak[r]) << "round " << round;
    EXPECT_EQ(from_block{block}(job), squeezed);
  }
}

TEST(building_block, scaling_all_times_changes_nothing) {
  random_cases d(8);
  for (int round = 0; round < 100; ++round) {
    auto const job = random_job(d);
    auto scaled = job;
    for (auto* costs :
         {&scaled.costs.forward, &scaled.costs.backward_input, &scaled.costs.backward_weight}) {
      auto values = costs->values();
      for (ticks& v : values) v *= 1000;
      *costs = per_stage(values);
    }
    scaled.transfer = job.transfer.within_node * 1000;
    auto const small = packed_block(job), large = packed_block(scaled);
    EXPECT_EQ(least_period(scaled, large), 1000 * least_period(job, small)) << "round " << round;
    EXPECT_EQ(from_block{large}(scaled).plan, from_block{small}(job).plan) << "round " << round;
  }
}

TEST(building_block, packed_vs_on_unit_costs_are_v_min) {
  // Makespans and peaks (in stages of a rank) that the authors' V-Min reaches at (p, m), unit
  // costs.
  struct row {
    std::int32_t ranks, microbatches;
    ticks makespan;
    std::int64_t peak;
  };
  for (row const& r : {row{4, 8, 59, 2}, row{8, 32, 219, 4}, row{16, 64, 443, 6}}) {
    pipeline_job const job{
        .stages = 2 * r.ranks, .microbatches = r.microbatches, .layout = stage_layout::v_shaped()};
    auto const block = packed_block(job);
    EXPECT_EQ(least_period(job, block), 6);
    auto const peaks = block_peak(job, block, 6);
    EXPECT_EQ(*std::max_element(peaks.begin(), peaks.end()), 2 * r.peak);
    EXPECT_EQ(from_block{block}(job).objective, static_cast<double>(r.makespan));
  }
}

TEST(building_block, by_hand_a_plain_zero_bubble_block) {
  // Three stages, one chunk each: down, back, weights as soon as there is room. Every rank works 3
  // of every 3 ticks.
  pipeline_job const job{.stages = 3, .microbatches = 6};
  building_block const block{{{0, 7, 8}, {1, 5, 6}, {2, 3, 4}}};
  EXPECT_EQ(least_period(job, block), 3);
  EXPECT_EQ(block_peak(job, block, 3), (indexed<rank_id, std::int64_t>{3, 2, 1}));
  auto const answer = from_block{block}(job);
  EXPECT_TRUE(check(job, answer.plan).empty());
}

TEST(building_block, caps_dead_workers_and_broken_blocks) {
  pipeline_job job{.stages = 2, .microbatches = 4};
  auto const block = packed_block(job);
  auto const why = [](auto const& what) {
    try {
      what();
      return std::string();
    } catch (invalid_problem const& error) {
      return std::string(error.what());
    }
  };
  auto const wrong = [&](std::vector<block_offsets> offsets) {
    return why([&] { static_cast<void>(least_period(job, {std::move(offsets)})); });
  };
  EXPECT_EQ(wrong({{0, 3, 4}}), "block: has 1 entries for 2 stages");
  EXPECT_EQ(wrong({{-1, 3, 4}, {1, 2, 3}}),
            "block[0].forward: starts at -1, what it needs is there at 0");
  EXPECT_EQ(wrong({{0, 3, 4}, {0, 2, 3}}),
            "block[1].forward: starts at 0, what it needs is there at 1");
  EXPECT_EQ(wrong({{0, 2, 4}, {1, 2, 3}}),
            "block[0].backward_input: starts at 2, what it needs is there at 3");
  EXPECT_EQ(wrong({{0, 3, 3}, {1, 2, 3}}),
            "block[0].backward_weight: starts at 3, what it needs is there at 4");
  pipeline_job const one{.stages = 2, .microbatches = 4, .layout = stage_layout::looped(2)};
  EXPECT_EQ(why([&] { static_cast<void>(least_period(one, {{{0, 3, 5}, {1, 2, 3}}})); }),
            "block: two operations overlap on their rank, whatever the period");
  EXPECT_EQ(why([&] { static_cast<void>(packed_block(job, 2)); }),
            "period: of 2 is too short for what a rank does");
  EXPECT_EQ(why([&] { static_cast<void>(packed_block(job, 0)); }),
            "period: of 0 is too short for what a rank does");
  EXPECT_EQ(least_period(job, packed_block(job, 7)),
            5);  // a looser block can be repeated faster, but not as fast as a tight one
  job.memory = stash_cap::per_worker(1);
  auto const capped = from_block{block}(job);
  EXPECT_EQ(capped.status, status::infeasible);
  EXPECT_NE(capped.reason.find("memory"), std::string::npos) << capped.reason;
  pipeline_job const hurt{.pipelines = 2, .stages = 2, .microbatches = 4, .dead = {{0, 1}}};
  EXPECT_EQ(from_block{block}(hurt).status, status::infeasible);
}

}  // namespace
}  // namespace shunt::tests::building_block_test

#include "shunt/lower/shadows.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/check/redundancy.hpp"
#include "shunt/core/error.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/redundant_forward.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::shadows_test {
namespace {

pipeline_tensors const sizes{.activation = 16, .stash = 24, .gradient = 40, .state = 32};

program lowered(pipeline_job const& job, held_stages const& shadows) {
  return lower_with_shadows(job, one_f_one_b{}(job).plan, shadows, sizes);
}

// Which stages a rank steps, in order.
std::vector<stage_id> steps_of(rank_program const& list) {
  std::vector<stage_id> all;
  for (auto const& i : list.instructions)
    if (i.code == opcode::compute && i.op.kind == op_kind::step) all.push_back(i.op.stage);
  return all;
}

TEST(shadows, none_is_the_program_without) {
  auto const job = stepping_job_of(2, 3, 4);
  EXPECT_EQ(lowered(job, held_stages(6)), lower(job, one_f_one_b{}(job).plan, sizes));
}

// By hand: one pipeline of two ranks, each the shadow of the other.
TEST(shadows, a_ring_of_two) {
  auto const p = lowered(stepping_job_of(1, 2, 1), {{1}, {0}});
  EXPECT_TRUE(check(p).empty());
  EXPECT_EQ(steps_of(p.ranks[0]), (std::vector<stage_id>{0, 1}));
  EXPECT_EQ(steps_of(p.ranks[1]), (std::vector<stage_id>{1, 0}));
  for (auto const& list : p.ranks) {
    byte_count reduced = 0;
    int sums = 0, kept = 0;
    for (auto const& i : list.instructions) {
      reduced += i.code == opcode::all_reduce ? list.reads(i)[0].size : 0;
      sums += i.code == opcode::fill;
      kept += i.code == opcode::copy && list.reads(i)[0].size == 32;
    }
    EXPECT_EQ(reduced, 2 * (40 + 8) + 8) << "both stages, and the flag of all";
    EXPECT_EQ(sums, 4) << "gradient and flag of two stages";
    EXPECT_EQ(kept, 2) << "both states before the first step";
  }
}

// Every holder and shadow of a stage, and no other rank, reduces its gradient and steps it.
TEST(shadows, random_shadows_have_valid_programs) {
  random_cases d(29);
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(round);
    auto const pipelines = d.roll(1, 3), stages = d.roll(1, 5), microbatches = d.roll(1, 4);
    auto const job = stepping_job_of(pipelines, stages, microbatches);
    held_stages shadows(static_cast<std::size_t>(job.ranks()));
    for (rank_id const r : ids<rank_id>(job.ranks()))
      for (stage_id const s : ids<stage_id>(job.stages))
        if (s != job.worker_of(r).stage && d.roll(0, 2) == 0) shadows[r.index()].push_back(s);
    auto const p = lowered(job, shadows);
    ASSERT_TRUE(check(p).empty()) << to_string(check(p).front());
    for (rank_id const r : ids<rank_id>(job.ranks())) {
      auto expected = job.stages_of(r);
      expected.insert(expected.end(), shadows[r.index()].begin(), shadows[r.index()].end());
      EXPECT_EQ(steps_of(p.ranks[r]), expected);
      std::set<std::vector<rank_id>> groups, wanted;
      for (auto const& i : p.ranks[r].instructions)
        if (i.code == opcode::all_reduce && i.reduce == reduction::sum)
          groups.insert(p.groups[i.group]);
      for (stage_id const s : expected) {
        std::vector<rank_id> of;
        for (rank_id const other : ids<rank_id>(job.ranks())) {
          auto const& more = shadows[other.index()];
          if (job.worker_of(other).stage == s ||
              std::find(more.begin(), more.end(), s) != more.end())
            of.push_back(other);
        }
        if (of.size() > 1) wanted.insert(of);
      }
      EXPECT_EQ(groups, wanted);
    }
  }
}

// The ring of every pipeline: each rank shadows the next stage.
held_stages ring_of(pipeline_job const& job) {
  held_stages all;
  for (rank_id const r : ids<rank_id>(job.ranks()))
    all.push_back({(job.worker_of(r).stage.value() + 1) % job.stages});
  return all;
}

std::vector<operation> computes_of(rank_program const& list) {
  std::vector<operation> all;
  for (auto const& i : list.instructions)
    if (i.code == opcode::compute) all.push_back(i.op);
  return all;
}

// By hand: of two micro-batches rank 0 repeats each forward of stage 1 before its own backward, as
// soon as the operation before has ended.
TEST(shadows, repeat_forwards_where_they_would_wait) {
  auto const job = stepping_job_of(1, 2, 2);
  auto const p = lower_with_shadows(job, redundant_forward{}(job).plan, {{1}, {0}}, sizes);
  EXPECT_TRUE(check(p).empty());
  using enum op_kind;
  EXPECT_EQ(computes_of(p.ranks[0]), (std::vector<operation>{{forward, 0, 0, 0},
                                                             {forward, 0, 0, 1},
                                                             {redundant_forward, 0, 1, 0},
                                                             {backward, 0, 0, 0},
                                                             {redundant_forward, 0, 1, 1},
                                                             {backward, 0, 0, 1},
                                                             {step, 0, 0, 0},
                                                             {step, 0, 1, 0}}));
  EXPECT_EQ(computes_of(p.ranks[1]).size(), 6u) << "of stage 0 nothing is repeated";
  // The forward waits for no message: it stands before the first gradient's receive.
  auto const& list = p.ranks[0].instructions;
  auto const at = [&](auto const& is) {
    return std::find_if(list.begin(), list.end(), is) - list.begin();
  };
  EXPECT_LT(at([](auto const& i) { return i.op.kind == redundant_forward; }),
            at([](auto const& i) { return i.code == opcode::receive; }));
}

// With redundant forwards a program is the same but for these and their inputs' copies; no buffer
// that one of them writes is written again.
TEST(shadows, redundant_forwards_leave_the_rest_as_it_was) {
  random_cases d(31);
  for (int round = 0; round < 100; ++round) {
    SCOPED_TRACE(round);
    auto const pipelines = d.roll(1, 3), stages = d.roll(2, 5), microbatches = d.roll(1, 6);
    auto const job = stepping_job_of(pipelines, stages, microbatches);
    auto const plan = redundant_forward{}(job).plan;
    ASSERT_TRUE(check(job, plan).empty());
    auto const p = lower_with_shadows(job, plan, ring_of(job), sizes);
    ASSERT_TRUE(check(p).empty()) << to_string(check(p).front());
    auto const without = lower_with_shadows(job, plan.plain, ring_of(job), sizes);
    std::int64_t repeated = 0;
    for (rank_id const r : ids<rank_id>(job.ranks())) {
      auto const& list = p.ranks[r];
      auto all = computes_of(list);
      auto const is_redundant = [](operation const& o) {
        return o.kind == op_kind::redundant_forward;
      };
      repeated += std::count_if(all.begin(), all.end(), is_redundant);
      std::erase_if(all, is_redundant);
      EXPECT_EQ(all, computes_of(without.ranks[r]));
      std::vector<buffer_id> kept;
      for (auto const& i : list.instructions)
        for (region const& to : list.writes(i)) {
          if (to.size == 0) continue;
          EXPECT_EQ(std::count(kept.begin(), kept.end(), to.buffer), 0);
          if (i.code == opcode::compute && is_redundant(i.op)) kept.push_back(to.buffer);
        }
    }
    EXPECT_EQ(repeated, job.pipelines * (job.stages - 1) * job.microbatches[0]);
  }
}

TEST(shadows, refuses_redundant_forwards_that_can_not_be) {
  auto const job = stepping_job_of(1, 3, 2);
  auto const plan = redundant_forward{}(job).plan;
  auto const refused = [&](auto&& change, held_stages const& shadows) {
    auto other = plan;
    change(other.redundant);
    return thrown_by([&] { (void)lower_with_shadows(job, other, shadows, sizes); });
  };
  auto const ring = ring_of(job);
  EXPECT_EQ(refused([](auto&) {}, ring), "nothing thrown");
  EXPECT_EQ(refused([](auto&) {}, {{1}, {}, {0}}),
            "rank 1, redundant forward of micro-batch 0:0 at stage 2: the rank doesn't shadow the "
            "stage");
  EXPECT_EQ(refused([](auto& all) { all.resize(2); }, ring),
            "the schedule has 2 lists of redundant forwards for 3 ranks");
  EXPECT_EQ(refused([](auto& all) { all[0][1].forward.microbatch = 2; }, ring),
            "rank 0, redundant forward of micro-batch 0:2 at stage 1: the job has no such forward");
  EXPECT_EQ(refused([](auto& all) { all[2].push_back({{op_kind::forward, 0, 0, 0}, 1}); }, ring),
            "rank 2, redundant forward of micro-batch 0:0 at stage 0: a first stage has no input");
  EXPECT_EQ(refused([](auto& all) { all[0][0].before = -1; }, ring),
            "rank 0, redundant forward of micro-batch 0:0 at stage 1: no place in the list");
  EXPECT_EQ(refused([](auto& all) { all[0][0].before = 0; }, ring),
            "the input of a redundant forward is made elsewhere, or later");
}

TEST(shadows, refuses_tables_that_can_not_be) {
  auto job = stepping_job_of(1, 3, 2);
  auto const refused = [&](held_stages const& shadows) {
    return field_of([&] { validate_shadows(job, shadows); });
  };
  EXPECT_EQ(refused({{1, 2}, {}, {0}}), "nothing thrown");
  EXPECT_EQ(refused({{1}, {2}}), "shadows");
  EXPECT_EQ(refused({{}, {1}, {}}), "shadows of rank 1");
  EXPECT_EQ(refused({{}, {}, {3}}), "shadows of rank 2");
  EXPECT_EQ(refused({{-1}, {}, {}}), "shadows of rank 0");
  EXPECT_EQ(refused({{2, 1}, {}, {}}), "shadows of rank 0");
  EXPECT_EQ(refused({{1, 1}, {}, {}}), "shadows of rank 0");
  job.pipelines = 2;
  job.dead = {{0, 1}};
  EXPECT_EQ(refused({{1}, {2}, {}, {}, {}, {}}), "shadows of rank 1");
  job = stepping_job_of(2, 3, 2);
  EXPECT_THROW((void)lower_with_shadows(job, slipstream{}(job).plan, held_stages(6)),
               invalid_program);
}

}  // namespace
}  // namespace shunt::tests::shadows_test

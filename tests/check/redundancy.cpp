#include "shunt/check/redundancy.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "shunt/measure/redundant_times.hpp"
#include "shunt/solve/pipeline/redundant_forward.hpp"
#include "support/redundancy.hpp"
#include "support/text.hpp"

namespace shunt::tests::redundancy_check {
namespace {

// F0 F1 R0 B0 R1 B1 S on rank 0, F0 R0 B0 F1 R1 B1 S on rank 1.
pipeline_job const job = bamboo_job(3, 2);

std::string with(auto const& change) {
  auto plan = redundant_forward{}(job).plan;
  change(plan);
  return lines(check(job, plan));
}

TEST(bamboo_check, each_rule_is_broken_alone) {
  EXPECT_EQ(with([](auto&) {}), "");
  EXPECT_EQ(count(with([](auto& p) { std::swap(p.plain.order[2][0], p.plain.order[2][1]); }),
                  "before_its_input: worker 0:2, operation 0 (backward of micro-batch 0:0"),
            1u);
  EXPECT_EQ(with([](auto& p) { p.redundant.resize(2); }),
            "rank 0: another number of lists or times\n");
  EXPECT_EQ(with([](auto& p) { p.redundant[0].pop_back(); }),
            "the redundant forward of micro-batch 0:1 at stage 1 is missing\n");
  EXPECT_EQ(with([](auto& p) { p.redundant[0].push_back(p.redundant[0].back()); }),
            "rank 0, redundant forward 2 (forward of micro-batch 0:1 at stage 1): computed "
            "before\n");
  EXPECT_EQ(with([](auto& p) { std::swap(p.redundant[2], p.redundant[1]); }),
            "rank 2, redundant forward 0 (forward of micro-batch 0:0 at stage 2): the rank is not "
            "the worker's shadow\n"
            "rank 2, redundant forward 1 (forward of micro-batch 0:1 at stage 2): the rank is not "
            "the worker's shadow\n");
  EXPECT_EQ(with([](auto& p) { p.redundant[2].push_back({{op_kind::forward, 0, 0, 1}, 4}); }),
            "rank 2, redundant forward 0 (forward of micro-batch 0:1 at stage 0): the shadow of "
            "stage 0 waits for no gradient\n");
  EXPECT_EQ(with([](auto& p) { p.redundant[0][0].before = 0; }),
            "rank 0, redundant forward 0 (forward of micro-batch 0:0 at stage 1): stands before "
            "its input is made\n");
  EXPECT_EQ(with([](auto& p) { p.redundant[0][1].before = 1; }),
            "rank 0, redundant forward 1 (forward of micro-batch 0:1 at stage 1): no place in the "
            "list\n");
  EXPECT_EQ(with([](auto& p) { p.redundant[0][1].before = 5; }),
            "rank 0, redundant forward 1 (forward of micro-batch 0:1 at stage 1): no place in the "
            "list\n");
  EXPECT_EQ(with([](auto& p) { p.redundant[2].push_back({{op_kind::backward, 0, 2, 1}, 4}); }),
            "rank 2, redundant forward 0 (backward of micro-batch 0:1 at stage 2): the job "
            "has no such forward\n");
}

TEST(bamboo_check, each_rule_of_times_is_broken_alone) {
  auto const plan = redundant_forward{}(job).plan;
  auto const timed = [&](auto const& change) {
    auto table = times(job, plan);
    change(table);
    return lines(check(job, plan, table));
  };
  EXPECT_EQ(timed([](auto&) {}), "");
  EXPECT_EQ(timed([](auto& t) { ++t.redundant[0][0].end; }),
            "rank 0, redundant forward 0 (forward of micro-batch 0:0 at stage 1): takes another "
            "time than a forward of its stage\n");
  EXPECT_EQ(timed([](auto& t) {
              --t.redundant[0][0].start;
              --t.redundant[0][0].end;
            }),
            "rank 0, redundant forward 0 (forward of micro-batch 0:0 at stage 1): starts before "
            "the operation before it ends\n");
  EXPECT_EQ(timed([](auto& t) { t.redundant[0][0] = {50, 51}; }),
            "rank 0, redundant forward 0 (forward of micro-batch 0:0 at stage 1): ends after the "
            "operation behind it starts\n");
  EXPECT_EQ(timed([](auto& t) { t.redundant[1].pop_back(); }),
            "rank 1: another number of lists or times\n");
  EXPECT_EQ(count(timed([](auto& t) { --t.plain.times[0][2].start; }), "duration: worker 0:0"), 1u);
}

TEST(bamboo_check, a_stage_beside_its_shadow_has_no_redundancy) {
  auto together = job;
  together.layout = stage_layout::custom({0, 0, 1});
  redundant_schedule plan{.plain = {}, .redundant = {}};
  plan.plain.order.resize(2);
  plan.redundant.resize(2);
  plan.plain.order[0] = {{op_kind::forward, 0, 0, 0}};
  plan.redundant[0] = {{{op_kind::forward, 0, 1, 0}, 0}};
  EXPECT_EQ(count(lines(check(together, plan)), "the rank is not the worker's shadow"), 1u);
}

}  // namespace
}  // namespace shunt::tests::redundancy_check

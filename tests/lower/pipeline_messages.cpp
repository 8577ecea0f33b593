#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "shunt/solve/pipeline/dual_pipe_v.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"

namespace shunt::tests::pipeline_messages_test {
namespace {

constexpr std::array all_lanes = {message_lanes::one_per_rank, message_lanes::one_per_peer,
                                  message_lanes::one_per_edge};

pipeline_job interleaved(std::int32_t ranks, std::int32_t microbatches, ticks transfer,
                         ticks cost = 1) {
  return {.stages = 2 * ranks,
          .microbatches = microbatches,
          .costs = {cost, cost, cost, 0},
          .transfer = transfer,
          .layout = stage_layout::looped(2)};
}

// One pipeline, so that staggered steps wait for nobody.
template <class Generator = interleaved_one_f_one_b>
pipeline_schedule staggered(pipeline_job const& job) {
  auto plan = Generator{}.order(job);
  plan.staggered_step = true;
  return plan;
}

ticks last_computed(program const& p, pipeline_job const& job) {
  ticks end = 0;
  for (auto const& e : simulated_executor{job_costs(job)}.run(p).timeline.events)
    if (e.code == opcode::compute && e.op.kind != op_kind::step) end = std::max(end, e.end);
  return end;
}

// The end of the last operation where a message passes when both its ends have come to it and takes
// `transfer` on both lanes. 0: never.
ticks rendezvous_end(program const& p, pipeline_job const& job) {
  auto const d = find_dependencies(p);
  std::vector<ticks> end(d.partner.size(), -1);
  struct lane {
    std::vector<std::int32_t> list{};
    std::size_t next = 0;
    ticks free = 0;
  };
  std::vector<std::array<lane, 8>> ranks(p.ranks.size());
  std::size_t to_do = 0;
  for (rank_id r : ids<rank_id>(p.ranks.size()))
    for (std::int32_t n = 0; n < static_cast<std::int32_t>(p.ranks[r].instructions.size());
         ++n, ++to_do)
      ranks[r.index()]
          .at(p.ranks[r].instructions[static_cast<std::size_t>(n)].lane)
          .list.push_back(n);
  job_costs const costs(job);
  // when the next instruction of a lane may start, or -1
  auto const able = [&](rank_id r, lane const& l) {
    ticks start = l.free;
    rank_program const& own = p.ranks[r];
    for (auto const w : own.after(own.instructions[static_cast<std::size_t>(l.list[l.next])])) {
      auto const ended = end[static_cast<std::size_t>(d.number({r, w}))];
      if (ended < 0) return ticks{-1};
      start = std::max(start, ended);
    }
    return start;
  };
  ticks last = 0;
  for (bool moved = true; moved && to_do > 0;) {
    moved = false;
    for (rank_id r : ids<rank_id>(p.ranks.size()))
      for (auto& l : ranks[r.index()])
        while (l.next < l.list.size()) {
          auto const& i = p.ranks[r].instructions[static_cast<std::size_t>(l.list[l.next])];
          auto const number = static_cast<std::size_t>(d.number({r, l.list[l.next]}));
          ticks start = able(r, l);
          if (start < 0 || i.code == opcode::receive || is_collective(i.code)) break;
          if (i.code == opcode::send) {
            auto const to = d.point(d.partner[number]);
            auto& other = ranks[to.rank.index()].at(
                p.ranks[to.rank].instructions[static_cast<std::size_t>(to.instruction)].lane);
            if (other.next == other.list.size() || other.list[other.next] != to.instruction) break;
            ticks const there = able(to.rank, other);
            if (there < 0) break;
            start = std::max(start, there) + job.transfer(r, to.rank);
            end[static_cast<std::size_t>(d.partner[number])] = other.free = start;
            ++other.next;
            --to_do;
          } else if (i.code == opcode::compute) {
            start += costs.compute(r, i.op);
            if (i.op.kind != op_kind::step) last = std::max(last, start);
          }
          end[number] = l.free = start;
          ++l.next;
          --to_do;
          moved = true;
        }
  }
  return to_do == 0 ? last : 0;
}

// Interleaved 1F1B with 8 ranks and 32 micro-batches of unit cost ends at 213. A lane a rank was
// seen to take 268 elsewhere, and a lane an edge 213, with transfers that take no time.
TEST(pipeline_messages, lanes_delay_nothing_where_messages_take_no_time) {
  auto const job = interleaved(8, 32, 0);
  auto const plan = staggered(job);
  ASSERT_EQ(makespan(job, plan), 213);
  for (auto const lanes : all_lanes) {
    auto const program = lower(job, plan, {}, lanes);
    EXPECT_EQ(last_computed(program, job), 213) << to_string(lanes);
    EXPECT_EQ(rendezvous_end(program, job), 213) << to_string(lanes);
  }
}

TEST(pipeline_messages, lanes_of_edges_are_as_good_as_none) {
  for (ticks const transfer : {5, 20}) {  // percent of an operation
    auto const job = interleaved(8, 32, transfer, 100);
    auto const plan = staggered(job);
    ticks const ideal = makespan(job, plan);
    for (auto const lanes : all_lanes) {
      auto const tight = lower(job, plan, {}, lanes), roomy = lower(job, plan, {}, {lanes, 1});
      EXPECT_EQ(last_computed(tight, job), ideal);
      EXPECT_LE(rendezvous_end(tight, job),
                ideal + ideal * transfer / 300);  // a message waits for its buffer
      EXPECT_EQ(rendezvous_end(roomy, job), ideal);
      EXPECT_TRUE(check(roomy).empty());
      for (rank_id r : ids<rank_id>(job.ranks()))
        EXPECT_LE(roomy.ranks[r].buffers.size(), tight.ranks[r].buffers.size() + 5);
    }
  }
}

// A V, where every pair of ranks exchanges activations and gradients both ways.
TEST(pipeline_messages, lanes_that_are_shared_cost_little_in_the_right_order) {
  auto job = interleaved(8, 32, 20, 100);
  job.layout = stage_layout::v_shaped();
  auto const plan = staggered<dual_pipe_v>(job);
  ticks const ideal = makespan(job, plan);
  std::array<ticks, 3> buffered{}, rendezvous{};
  for (auto const lanes : all_lanes) {
    auto const program = lower(job, plan, {}, {lanes, 1});
    buffered[static_cast<std::size_t>(lanes)] = last_computed(program, job);
    rendezvous[static_cast<std::size_t>(lanes)] = rendezvous_end(program, job);
  }
  for (ticks const end : buffered) EXPECT_EQ(end, ideal);
  EXPECT_EQ(rendezvous[static_cast<std::size_t>(message_lanes::one_per_edge)], ideal);
  EXPECT_LE(rendezvous[0],
            ideal + ideal / 100);  // lists as they come were seen to take 42 % more on one lane
}

}  // namespace
}  // namespace shunt::tests::pipeline_messages_test

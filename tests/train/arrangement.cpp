#include "shunt/train/arrangement.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::arrangement_test {
namespace {

pipeline_job job() { return {.pipelines = 2, .stages = 3, .microbatches = 4, .dead = {{0, 1}}}; }

TEST(arrangement, the_start_has_every_rank) {
  auto const start = starting_arrangement(job());
  EXPECT_EQ(start.members, (std::vector<rank_id>{0, 1, 2, 3, 4, 5}));
  EXPECT_TRUE(start.job.dead.empty());
  EXPECT_EQ(workers_of(start), (worker_ranks{{0, 1, 2}, {3, 4, 5}}));
  EXPECT_EQ(stages_held(start, 6)[4], std::vector<stage_id>{1});
  EXPECT_TRUE(stages_held(start, 6, std::vector<rank_id>{4})[4].empty());
}

TEST(arrangement, ranks_keep_what_is_theirs) {
  auto before = job();
  before.memory = stash_cap::per_rank({10, 11, 12, 13, 14, 15});
  auto const next = arranged(before, {{5, 5, 2}, {0, 3, 3}}, {5, 3});
  EXPECT_EQ(next.members, (std::vector<rank_id>{5, 2, 0, 3}));
  EXPECT_EQ(next.job.layout, stage_layout::custom({0, 0, 1, 2, 3, 3}));
  EXPECT_EQ(next.job.memory.limits, (std::vector<std::int64_t>{15, 12, 10, 13}));
  EXPECT_EQ(next.job.total_microbatches(), 8);
  EXPECT_EQ(workers_of(next), (worker_ranks{{5, 5, 2}, {0, 3, 3}}));
  EXPECT_EQ(stages_held(next, 6), (held_stages{{0}, {}, {2}, {1, 2}, {}, {0, 1}}));
}

TEST(arrangement, one_stage_a_rank_is_linear) {
  EXPECT_EQ(arranged(job(), {{5, 1, 2}}, {8}).job.layout, stage_layout::linear());
}

TEST(arrangement, refuses_workers_that_can_not_be) {
  EXPECT_EQ(field_of([] { (void)arranged(job(), {{0, 1}}, {8}); }), "workers");
  EXPECT_EQ(field_of([] { (void)arranged(job(), {{0, 1, 6}}, {8}); }), "workers");
  EXPECT_EQ(field_of([] { (void)arranged(job(), {{0, 1, 2}}, {0}); }), "microbatches");
}

TEST(arrangement, only_live_ranks_of_the_run_do_the_whole_work) {
  auto const start = job();
  std::vector<rank_id> const dead{1};
  auto const field = [&](auto const& change) {
    auto next = arranged(start, {{3, 4, 5}}, {8});
    change(next);
    return field_of([&] { validate(next, start, dead); });
  };
  EXPECT_EQ(field([](auto&) {}), "nothing thrown");
  EXPECT_EQ(field([](auto& a) { a.members[0] = 1; }), "members");
  EXPECT_EQ(field([](auto& a) { a.members[0] = 4; }), "members");
  EXPECT_EQ(field([](auto& a) { a.members[0] = 6; }), "members");
  EXPECT_EQ(field([](auto& a) { a.members.pop_back(); }), "members");
  EXPECT_EQ(field([](auto& a) { a.job.microbatches = 7; }), "job");
  EXPECT_EQ(field([](auto& a) {
              a.job.stages = 2;
              a.members.pop_back();
            }),
            "job");
}

TEST(arrangement, shadows_have_the_states_that_they_keep) {
  auto next = arranged(job(), {{3, 4, 5}}, {8});
  next.shadows = {{2}, {0, 2}, {}};
  validate(next, job(), {});
  EXPECT_EQ(stages_held(next, 6), (held_stages{{}, {}, {}, {0, 2}, {0, 1, 2}, {2}}));
  EXPECT_TRUE(stages_held(next, 6, std::vector<rank_id>{4})[4].empty());
  EXPECT_EQ(stage_without_holder(stages_held(next, 6, std::vector<rank_id>{4}), 3), stage_id(1));
  next.shadows = {{2}, {1}, {}};
  EXPECT_EQ(field_of([&] { validate(next, job(), {}); }), "shadows of rank 1");
  next.shadows.pop_back();
  EXPECT_EQ(field_of([&] { validate(next, job(), {}); }), "shadows");
}

TEST(arrangement, what_a_change_costs) {
  std::vector<layer_copy> const copies{{0, 1, {2, 3}}, {1, 4, {2}}};
  std::vector<rank_id> const dead{0};
  auto const change = change_between(starting_arrangement(job()), {{}, {0}, {0, 1}, {}, {1}, {}},
                                     copies, per_stage{10, 100, 1000}, dead);
  EXPECT_EQ(change.copies, 3);
  EXPECT_EQ(change.bytes, 120);
  EXPECT_EQ(change.dead, dead);
  EXPECT_EQ(change.waiting, (std::vector<rank_id>{3, 5}));
  EXPECT_EQ(change.next, starting_arrangement(job()));
}

}  // namespace
}  // namespace shunt::tests::arrangement_test

#include "shunt/check/loss_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "shunt/solve/pipeline/loss_planner.hpp"
#include "support/losses.hpp"
#include "support/text.hpp"

namespace shunt::tests::check_loss_plan_test {
namespace {

using kind = loss_violation::kind;

/// 3 x 2 ranks of two layers, rank 5 dead, one spare; a plan in which states move.
struct checked {
  worker_losses losses = [] {
    auto l = without(losses_of(3, 2, 2, 2), {1});
    l.state_limit = 3;
    l.job.memory = stash_cap::per_worker(40);
    l.spares = 1;
    return l;
  }();
  loss_plan plan = loss_planner{}(losses).plan;

  std::vector<kind> kinds() const {
    std::vector<kind> all;
    for (auto const& v : check(losses, plan)) all.push_back(v.what);
    return all;
  }
};

TEST(check_loss_plan, names_each_rule_that_is_broken) {
  checked const sound;
  EXPECT_EQ(lines(check(sound.losses, sound.plan)), "");
  ASSERT_FALSE(sound.plan.copies.empty());
  auto const first = [](checked const& c) {
    auto const all = c.kinds();
    return all.empty() ? std::string("none") : to_string(check(c.losses, c.plan).front());
  };

  auto c = sound;
  c.plan.job.dead = {{0, 0}};
  EXPECT_EQ(c.kinds(), std::vector{kind::job});
  c = sound;
  c.plan.members.pop_back();
  EXPECT_EQ(c.kinds(), std::vector{kind::members});
  c = sound;
  c.plan.members[0] = 1;
  EXPECT_EQ(first(c), "rank 1 is not a live one");
  c.plan.members[0] = 7;
  EXPECT_EQ(first(c), "rank 7 is not a live one");
  c.plan.members[0] = c.plan.members[1];
  EXPECT_EQ(first(c), "rank " + to_string(c.plan.members[1]) + " is a member twice");
  c = sound;
  c.plan.job.microbatches = per_pipeline(std::vector<std::int32_t>(
      static_cast<std::size_t>(c.plan.job.pipelines), c.plan.job.microbatches.most() + 1));
  EXPECT_EQ(c.kinds().front(), kind::microbatches);
  c = sound;
  c.losses.state_limit = 1;
  EXPECT_EQ(c.kinds().front(), kind::state);
  EXPECT_NE(first(c).find("its states is 2, should be 1 at most"), std::string::npos);
  c = sound;
  c.plan.job.memory = stash_cap::per_worker(41);
  EXPECT_EQ(c.kinds().front(), kind::stash);
  c.plan.job.memory = stash_cap::none();
  EXPECT_EQ(c.kinds().front(), kind::stash);
  c = sound;
  c.plan.job.costs.backward_weight = 2;
  EXPECT_EQ(c.kinds().front(), kind::job);
  c = sound;
  c.plan.job.transfer = 1;
  EXPECT_EQ(c.kinds().front(), kind::link);
  c = sound;
  c.plan.copies[0].from = c.plan.copies[0].to[0];
  EXPECT_EQ(c.kinds(), std::vector{kind::source});
  c.plan.copies[0].from = 1;  // dead
  EXPECT_EQ(c.kinds(), std::vector{kind::source});
  c = sound;
  auto const removed = c.plan.copies[0].to[0];
  c.plan.copies[0].to.clear();
  EXPECT_EQ(c.kinds(), std::vector{kind::missing});
  EXPECT_EQ(first(c), "stage " + to_string(stage_id(c.plan.copies[0].layer.value())) + ": rank " +
                          to_string(removed) + " does not receive it once");
  c.plan.copies[0].to = {removed, removed};
  EXPECT_EQ(c.kinds(), std::vector{kind::missing});
  c = sound;
  c.plan.copies[0].to.push_back(c.plan.copies[0].from);
  EXPECT_EQ(c.kinds(), std::vector{kind::receiver});
  c = sound;
  std::swap(c.plan.schedule.order[0].front(), c.plan.schedule.order[0].back());
  EXPECT_EQ(c.kinds().front(), kind::schedule);
}

TEST(check_loss_plan, costs_are_those_of_the_ranks_that_take_the_parts) {
  checked c;
  c.losses.job.memory = stash_cap::none();
  c.losses.job.costs = by_factors(c.losses.job, {1, 1, 2, 1, 1, 1});
  c.plan = loss_planner{}(c.losses).plan;
  ASSERT_EQ(lines(check(c.losses, c.plan)), "");
  ASSERT_EQ(std::count(c.plan.members.begin(), c.plan.members.end(), rank_id(2)), 1);
  auto const forward = c.plan.job.costs.forward.values();
  ASSERT_EQ(forward.size(), static_cast<std::size_t>(c.plan.job.workers()));
  for (pipeline_id const p : ids<pipeline_id>(c.plan.job.pipelines))
    for (stage_id const s : ids<stage_id>(c.plan.job.stages)) {
      rank_id const r = c.plan.job.rank_of({p, s});
      bool const slow = c.plan.members[r.index()] == rank_id(2);
      auto wrong = c;
      auto all = forward;
      for (pipeline_id const q : ids<pipeline_id>(c.plan.job.pipelines))
        if (c.plan.job.rank_of({q, s}) == r)
          all[q.index() * static_cast<std::size_t>(c.plan.job.stages) + s.index()] = slow ? 1 : 2;
      wrong.plan.job.costs.forward = per_stage(all);
      auto const found = check(wrong.losses, wrong.plan);
      ASSERT_EQ(found.size(), 1u);
      EXPECT_EQ(found[0].what, kind::job);
      EXPECT_EQ(found[0].rank, c.plan.members[r.index()]);
      EXPECT_EQ(found[0].stage, s);
    }
  auto longer = c;
  longer.plan.job.lengths.assign(6, 1);
  EXPECT_EQ(longer.kinds(), std::vector{kind::microbatches});
}

// The rule of check and that of the problem are written twice; they say the same.
TEST(check_loss_plan, knows_the_costs_of_every_rank_at_every_stage) {
  random_cases random(21);
  int unlike = 0;
  for (int n = 0; n < 60; ++n) {
    auto losses = random_uneven_losses(random);
    losses.job.memory = stash_cap::none();
    losses.state_limit = 0;
    rank_costs const costs(losses);
    unlike += costs.by_rank();
    // Every live rank has all stages, and a micro-batch of its own.
    loss_plan plan{.job = losses.job};
    std::vector<rank_id> layout;
    std::array<std::vector<ticks>, 4> lists;
    for (rank_id const r : ids<rank_id>(losses.job.ranks() + losses.spares)) {
      if (r.value() < losses.job.ranks() && !losses.job.alive(r)) continue;
      for (stage_id const s : ids<stage_id>(losses.job.stages)) {
        layout.push_back(rank_id(plan.members.size()));
        auto const& c = costs.on(r, s);
        lists[0].push_back(c.forward);
        lists[1].push_back(c.backward_input);
        lists[2].push_back(c.backward_weight);
        lists[3].push_back(c.step);
      }
      plan.members.push_back(r);
    }
    if (plan.members.empty()) continue;
    auto& job = plan.job;
    job.dead.clear();
    job.pipelines = static_cast<std::int32_t>(plan.members.size());
    job.microbatches = 1;
    losses.job.lengths.clear();
    job.lengths.clear();
    job.layout = stage_layout::custom(layout);
    job.costs = {per_stage(lists[0]), per_stage(lists[1]), per_stage(lists[2]),
                 per_stage(lists[3])};
    job.transfer = 0;
    plan.schedule.order.resize(plan.members.size());
    for (auto const& v : check(losses, plan)) EXPECT_NE(v.what, kind::job) << n << to_string(v);
    job.costs.forward = per_stage([&] {
      auto all = lists[0];
      all.back() += 1;
      return all;
    }());
    auto const found = check(losses, plan);
    EXPECT_TRUE(std::any_of(found.begin(), found.end(),
                            [](loss_violation const& v) { return v.what == kind::job; }));
  }
  EXPECT_GT(unlike, 20);
}

}  // namespace
}  // namespace shunt::tests::check_loss_plan_test

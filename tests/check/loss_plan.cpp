#include "shunt/check/loss_plan.hpp"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace shunt::tests::check_loss_plan_test

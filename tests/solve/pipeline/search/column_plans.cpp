#include "shunt/solve/pipeline/search/column_plans.hpp"

#include <gtest/gtest.h>

#include <string>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "support/losses.hpp"
#include "support/text.hpp"

namespace shunt::tests::column_plans_test {
namespace {

TEST(column_plans, chains_have_a_rank_a_stage_and_others_share_it) {
  auto losses = losses_of(6, 4, 8, 12);
  losses.state_limit = 8;
  losses = without(losses, {0, 5, 10, 15, 16, 21});
  detail::loss_survivors const from(losses);
  detail::column_plans plans(from, 1'000'000, 12);
  auto const apart = plans.best(true), shared = plans.best(false);
  for (auto const* d : {&apart, &shared}) {
    EXPECT_EQ(lines(check(d->plan.job, d->plan.schedule)), "");
    EXPECT_EQ(period(d->plan.job, d->plan.schedule), d->period);
  }
  EXPECT_LT(shared.period, apart.period);
  auto const seats = [](detail::loss_draft const& d) {  // more than stages: ranks in two pipelines
    std::size_t held = 0;
    for (rank_id const r : ids<rank_id>(d.plan.job.ranks())) held += d.plan.job.stages_of(r).size();
    return static_cast<std::size_t>(d.plan.job.workers()) - held;
  };
  EXPECT_EQ(seats(apart), 0u);
  EXPECT_GT(seats(shared), 0u);
}

TEST(column_plans, say_what_they_do_not_plan) {
  auto losses = without(losses_of(2, 2, 1, 2), {1});
  losses.job.memory = stash_cap::one_f_one_b();
  detail::loss_survivors const from(losses);
  EXPECT_EQ(std::string(detail::column_plans(from, 1'000, 2).best(false).reason),
            "the cap of 1F1B is for stages with one rank in each pipeline");
  EXPECT_GT(detail::column_plans(from, 1'000, 2).best(true).period, 0);
}

}  // namespace
}  // namespace shunt::tests::column_plans_test

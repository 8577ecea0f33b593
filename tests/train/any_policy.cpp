#include "shunt/train/any_policy.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "shunt/train/bamboo_policy.hpp"
#include "shunt/train/best_policy.hpp"
#include "shunt/train/regroup_policy.hpp"

namespace shunt::tests::any_policy_test {
namespace {

pipeline_job const job{.pipelines = 3, .stages = 3, .microbatches = 4};

template <class Policy>
void expect_same(Policy const& policy, std::vector<rank_id> const& dead) {
  any_policy const any = policy;
  EXPECT_EQ(any.name, policy.name);
  EXPECT_EQ(any.every, policy.every);
  EXPECT_EQ(any.follows_paces, follows_paces(policy));
  auto const start = start_under(policy, job);
  EXPECT_EQ(workers_of(start_under(any, job)), workers_of(start));
  situation const lost{job, start, dead};
  EXPECT_EQ(workers_of(any(lost).plan), workers_of(policy(lost).plan));
  EXPECT_EQ(any.schedule(start.job).plan, policy.schedule(start.job).plan);
}

TEST(any_policy, does_what_the_policy_does) {
  expect_same(regroup_policy<>{{.every = 7}}, {4});
  expect_same(bamboo_policy<>{}, {1});
  expect_same(best_policy<>{}, {1});
  EXPECT_TRUE(any_policy(best_policy<>{}).follows_paces);
  EXPECT_FALSE(any_policy(regroup_policy<>{}).follows_paces);
}

TEST(any_policy, repeats_forwards_where_the_policy_does) {
  bamboo_policy<> const bamboo;
  auto const start = start_under(bamboo, job);
  auto const plain = bamboo.schedule(start.job).plan;
  auto const repeated = any_policy(bamboo).repeated(start, plain);
  ASSERT_TRUE(repeated.has_value());
  EXPECT_EQ(*repeated, bamboo.repeated(start, plain));
  EXPECT_FALSE(any_policy(regroup_policy<>{}).repeated(start, plain).has_value());
}

}  // namespace
}  // namespace shunt::tests::any_policy_test

#include "shunt/train/planned_policy.hpp"

#include <gtest/gtest.h>

#include <string_view>

#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/train/drop_policy.hpp"

namespace shunt::tests::planned_policy_test {
namespace {

/// Goes on as before, and starts as an arrangement of one iteration.
struct least_rule {
  static constexpr std::string_view name = "least";
  static constexpr int every = 3;

  [[nodiscard]] solution<arrangement> operator()(situation const& s) const {
    return {.plan = s.now};
  }
  [[nodiscard]] arrangement start(pipeline_job const& job) const {
    auto all = starting_arrangement(job);
    all.interim = true;
    return all;
  }
};
static_assert(arrangement_rule<least_rule>);
static_assert(!training_policy<least_rule>);
static_assert(training_policy<planned_policy<least_rule>>);
static_assert(!arrangement_rule<gpipe>);

TEST(planned_policy, is_its_rule_with_a_solver) {
  pipeline_job const job{.pipelines = 2, .stages = 2, .microbatches = 3};
  planned_policy<least_rule, gpipe> const policy{};
  EXPECT_EQ(policy.name, "least");
  EXPECT_EQ(policy.every, 3);
  EXPECT_EQ(policy.schedule(job).plan, gpipe{}(job).plan);
  EXPECT_TRUE(start_under(policy, job).interim);
  EXPECT_EQ(start_under(drop_policy<>{}, job), starting_arrangement(job));
}

}  // namespace
}  // namespace shunt::tests::planned_policy_test

#include "shunt/solve/named/pipeline_solvers.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

#include "shunt/check/pipeline.hpp"

namespace shunt::tests::pipeline_solvers_test {
namespace {

stage_layout layout_of(std::string_view name) {
  if (name == "looped") return stage_layout::looped(2);
  if (name == "wave") return stage_layout::wave(2);
  if (name == "v") return stage_layout::v_shaped();
  return name == "bidirectional" ? stage_layout::bidirectional() : stage_layout::linear();
}

TEST(pipeline_solvers, plan_under_the_layouts_that_they_name) {
  std::set<std::string_view> names;
  for (auto const& known : pipeline_solvers) {
    EXPECT_TRUE(names.insert(known.name).second) << known.name;
    pipeline_job const job{
        .pipelines = 2, .stages = 4, .microbatches = 4, .layout = layout_of(known.layout)};
    auto const answer = known.solve(job);
    ASSERT_TRUE(answer.has_plan()) << known.name << ": " << answer.reason;
    EXPECT_TRUE(check(job, answer.plan).empty()) << known.name;
  }
  EXPECT_TRUE(names.contains("one_f_one_b"));
}

}  // namespace
}  // namespace shunt::tests::pipeline_solvers_test

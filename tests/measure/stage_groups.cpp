#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/measure/stage_groups.hpp"
#include "shunt/solve/author/pipeline.hpp"

namespace shunt::tests::stage_groups_test {
namespace {

TEST(stage_groups, ranks_with_the_same_stages_belong_together) {
  pipeline_job const linear{.pipelines = 2, .stages = 2, .microbatches = 1, .dead = {{1, 0}}};
  stage_groups const in(linear);
  ASSERT_EQ(in.all.size(), 2u);
  EXPECT_EQ(in.all[0].live, (std::vector<rank_id>{0}));
  EXPECT_EQ(in.all[1].live, (std::vector<rank_id>{1, 3}));
  EXPECT_EQ(in.of, (indexed<rank_id, std::int32_t>{0, 1, 0, 1}));
}

TEST(stage_groups, ends_of_a_bidirectional_pipeline_hold_the_same_stages) {
  pipeline_job const both{
      .pipelines = 2, .stages = 4, .microbatches = 1, .layout = stage_layout::bidirectional()};
  stage_groups const in(both);
  ASSERT_EQ(in.all.size(), 2u);
  EXPECT_EQ(in.all[0].stages, (std::vector<stage_id>{0, 3}));
  EXPECT_EQ(in.all[0].live, (std::vector<rank_id>{0, 3}));
  EXPECT_EQ(in.of, (indexed<rank_id, std::int32_t>{0, 1, 1, 0}));
}

TEST(stage_groups, every_live_rank_steps_each_of_its_stages) {
  pipeline_job const job{
      .stages = 4, .microbatches = 1, .dead = {{0, 0}}, .layout = stage_layout::v_shaped()};
  auto plan = empty_schedule(job);
  append_steps(stage_groups(job), plan);
  EXPECT_TRUE(plan.order[0].empty());
  EXPECT_EQ(plan.order[1], (std::vector<operation>{{.kind = op_kind::step, .stage = 1},
                                                   {.kind = op_kind::step, .stage = 2}}));
}

}  // namespace
}  // namespace shunt::tests::stage_groups_test

#include <gtest/gtest.h>

#include "shunt/plan/pipeline_actions.hpp"

namespace shunt::tests::pipeline_actions_test {
namespace {

TEST(pipeline_actions, names) {
  EXPECT_EQ(to_string(message_lanes::one_per_rank), "one_per_rank");
  EXPECT_EQ(to_string(message_lanes::one_per_peer), "one_per_peer");
  EXPECT_EQ(to_string(message_lanes::one_per_edge), "one_per_edge");
  EXPECT_EQ(to_string(action_kind::compute), "compute");
  EXPECT_EQ(to_string(action_kind::send), "send");
  EXPECT_EQ(to_string(action_kind::receive), "receive");
  EXPECT_EQ(to_string(static_cast<action_kind>(9)), "unknown");
}

TEST(pipeline_actions, messages_have_lanes_behind_those_of_computing) {
  EXPECT_LT(pipeline_lanes::compute, pipeline_lanes::first_of_messages);
  EXPECT_LT(pipeline_lanes::reductions, pipeline_lanes::first_of_messages);
  EXPECT_LT(pipeline_lanes::second_of_pair, pipeline_lanes::first_of_messages);
  EXPECT_EQ(pipeline_action{}.lane, pipeline_lanes::compute);
}

}  // namespace
}  // namespace shunt::tests::pipeline_actions_test

#include "shunt/lower/validated_join.hpp"

#include <gtest/gtest.h>

#include <string>

#include "shunt/check/program.hpp"
#include "shunt/core/error.hpp"
#include "support/validated_toy.hpp"

namespace shunt::tests::validated_join_test {
namespace {

using namespace validated_toy;

std::string refusal(program const& iteration, rank_id joining) {
  try {
    (void)validated_join(iteration, joining);
    return "";
  } catch (invalid_program const& e) {
    return e.what();
  }
}

pipeline_job two_pipelines() {
  return {.pipelines = 2, .stages = 3, .microbatches = 4, .costs = {1, 1, 1, 2}};
}

TEST(validated_join, brings_four_buffers_of_each_stage_from_the_peer) {
  auto const job = two_pipelines();
  auto const joining = job.rank_of({1, 2}), peer = job.rank_of({0, 2});
  auto const p = validated_join(planned(job, true).iteration, joining);
  EXPECT_TRUE(check(p).empty());
  EXPECT_EQ(p.ranks[joining].instructions.size(), 4U);
  EXPECT_EQ(p.instructions(), 8U);
  for (auto const& i : p.ranks[joining].instructions) {
    EXPECT_EQ(i.code, opcode::receive);
    EXPECT_EQ(i.peer, peer);
  }
}

TEST(validated_join, says_why_it_cannot) {
  auto job = two_pipelines();
  auto const joining = job.rank_of({1, 2});
  EXPECT_EQ(refusal(lower(job, slipstream{}(job).plan, tensors()), joining),
            "rank " + std::to_string(joining.value()) +
                " joins an iteration whose steps aren't validated");
  job.dead = {{0, 2}};
  EXPECT_EQ(refusal(planned(job, true).iteration, joining),
            "rank " + std::to_string(joining.value()) +
                " has no peer at stage 2 to take the state from");
  job.dead = {{1, 2}};
  EXPECT_EQ(refusal(planned(job, true).iteration, joining),
            "rank " + std::to_string(joining.value()) +
                " takes no part in the iteration that it joins");
}

}  // namespace
}  // namespace shunt::tests::validated_join_test

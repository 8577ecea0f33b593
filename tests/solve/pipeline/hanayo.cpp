#include <gtest/gtest.h>

#include "shunt/solve/pipeline/hanayo.hpp"
#include "support/pipeline_lists.hpp"

namespace shunt::tests::hanayo_test {
namespace {

TEST(hanayo, a_wave_of_two_ranks_turns_on_the_last_one) {
  pipeline_job const job{.stages = 4, .microbatches = 2, .layout = stage_layout::wave(2)};
  auto const answer = hanayo{}(job);
  auto const first = staged_form(answer.plan, 1);
  EXPECT_EQ(first.substr(0, 10), "F1:0 F2:0 ");  // handed over on the rank, without a message
  EXPECT_EQ(count_of(answer.plan, 1, op_kind::backward), 4);
  EXPECT_EQ(answer.objective, static_cast<double>(3 * 2 * 2 + hanayo::bubble(job)));
}

}  // namespace
}  // namespace shunt::tests::hanayo_test

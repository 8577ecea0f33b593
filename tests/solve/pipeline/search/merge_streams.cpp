#include <gtest/gtest.h>

#include "shunt/check/pipeline.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/search/merge_streams.hpp"
#include "support/pipeline_lists.hpp"
#include "support/text.hpp"

namespace shunt::tests::merge_streams_test {
namespace {

using namespace detail;

constexpr auto F = op_kind::forward, I = op_kind::backward_input, W = op_kind::backward_weight;

TEST(merge_streams, gradients_come_first_and_weights_last) {
  pipeline_job const job{.stages = 1, .microbatches = 2};
  indexed<rank_id, operation_streams> const streams{
      {{{W, 0, 0, 0}, {W, 0, 0, 1}}, {{F, 0, 0, 0}, {F, 0, 0, 1}}, {{I, 0, 0, 0}, {I, 0, 0, 1}}}};
  auto const merged = merge_streams(job, streams);
  ASSERT_TRUE(merged.complete);
  EXPECT_EQ(short_form(merged.schedule, 0), "F0 I0 F1 I1 W0 W1 S");
  EXPECT_EQ(lines(check(job, merged.schedule)), "");
}

TEST(merge_streams, a_forward_waits_for_room_under_the_cap) {
  pipeline_job const job{.stages = 1, .microbatches = 2, .memory = stash_cap::per_worker(1)};
  indexed<rank_id, operation_streams> const streams{
      {{{F, 0, 0, 0}, {F, 0, 0, 1}}, {{I, 0, 0, 0}, {I, 0, 0, 1}}, {{W, 0, 0, 0}, {W, 0, 0, 1}}}};
  auto const merged = merge_streams(job, streams);
  ASSERT_TRUE(merged.complete);
  EXPECT_EQ(short_form(merged.schedule, 0), "F0 I0 W0 F1 I1 W1 S");
}

TEST(merge_streams, streams_that_wait_for_each_other_have_no_schedule) {
  pipeline_job const job{.stages = 1, .microbatches = 2, .memory = stash_cap::per_worker(1)};
  indexed<rank_id, operation_streams> const streams{
      {{{F, 0, 0, 0}, {F, 0, 0, 1}, {I, 0, 0, 0}, {I, 0, 0, 1}, {W, 0, 0, 0}, {W, 0, 0, 1}}}};
  EXPECT_FALSE(merge_streams(job, streams).complete);
}

}  // namespace
}  // namespace shunt::tests::merge_streams_test

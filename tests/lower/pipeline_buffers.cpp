#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <set>

#include "shunt/lower/pipeline_buffers.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::pipeline_buffers_test {
namespace {

TEST(pipeline_buffers, no_two_buffers_of_a_rank_share_a_number) {
  for (std::int32_t held = 1; held <= 3; ++held) {
    std::set<buffer_id> all;
    using at = pipeline_buffers;
    for (std::int32_t chunk = 0; chunk < held; ++chunk)
      for (buffer_id const b :
           {at::state(chunk), at::kept(chunk), at::gradient(chunk), at::flag(chunk)})
        EXPECT_TRUE(all.insert(b).second);
    for (std::int32_t set = 0; set < 4; ++set)
      for (buffer_id const b : {at::input(set, held), at::output(set, held), at::stash(set, held),
                                at::output_gradient(set, held), at::input_gradient(set, held)})
        EXPECT_TRUE(all.insert(b).second);
    EXPECT_EQ(all.size(), static_cast<std::size_t>(4 * held + 5 * 4));
    EXPECT_EQ(all.rbegin()->value(), 4 * held + 5 * 4 - 1);
  }
}

TEST(pipeline_buffers, the_ends_of_a_pipeline_have_neither_input_nor_output) {
  pipeline_job const job{.stages = 3};
  pipeline_tensors const tensors{.activation = {10, 20, 30}};
  auto const first = stages_of(job, tensors, 0), last = stages_of(job, tensors, 2);
  EXPECT_EQ(first[0].arriving(), 0);
  EXPECT_EQ(first[0].leaving(), 10);
  EXPECT_EQ(last[0].arriving(), 20);
  EXPECT_EQ(last[0].leaving(), 0);
}

TEST(pipeline_buffers, what_is_wrong_with_sizes_is_named) {
  pipeline_job const job{.stages = 2};
  auto const told = [&](pipeline_tensors const& t) { return thrown_by([&] { validate(job, t); }); };
  EXPECT_EQ(told({}), "nothing thrown");
  EXPECT_EQ(told({.gradient = {8, 12}}),
            "tensors.gradient: must be a multiple of 8 and at least 0, is 12 at stage 1");
  EXPECT_EQ(told({.stash = {1, 2, 3}}), "tensors.stash: has 3 values for 2 stages");
  EXPECT_EQ(told({.state = -1}),
            "tensors.state: must be a multiple of 1 and at least 0, is -1 at stage 0");
}

}  // namespace
}  // namespace shunt::tests::pipeline_buffers_test

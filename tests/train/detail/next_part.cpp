#include "shunt/train/detail/next_part.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "shunt/measure/moved_bytes.hpp"
#include "shunt/train/oobleck_policy.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::next_part_test {
namespace {

TEST(next_part, copies_what_ranks_lack_and_says_what_it_costs) {
  auto const job = stepping_job_of(3, 4, 6);
  auto const start = starting_arrangement(job);
  std::vector<rank_id> const dead{6};
  per_stage const state{100, 200, 300, 400};
  auto const next = oobleck_policy<>{}({job, start, dead});
  ASSERT_TRUE(next.has_plan());
  detail::next_part const part(start, next.plan, job, dead, state);
  EXPECT_TRUE(part.before[6].empty());
  EXPECT_TRUE(part.after[6].empty());
  EXPECT_EQ(part.change.next, next.plan);
  EXPECT_EQ(part.change.dead, dead);
  EXPECT_GT(part.change.copies, 0);
  EXPECT_EQ(bytes_moved(part.moving(state)).network, part.change.bytes);
  auto broken = next.plan;
  broken.members[0] = 6;
  EXPECT_EQ(field_of([&] { detail::next_part(start, broken, job, dead, state); }), "members");
}

}  // namespace
}  // namespace shunt::tests::next_part_test

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "shunt/problem/per_pipeline.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::per_pipeline_test {
namespace {

TEST(per_pipeline, one_count_is_that_of_all) {
  per_pipeline const counts = 6;
  EXPECT_EQ(counts[0], 6);
  EXPECT_EQ(counts[7], 6);
  EXPECT_EQ(counts.size(), 1u);
  EXPECT_EQ(counts.values(), std::vector<std::int32_t>{6});
  EXPECT_EQ(counts.before(3), 18);
  EXPECT_EQ(counts.most(), 6);
  EXPECT_TRUE(counts.uniform());
  EXPECT_EQ(counts, per_pipeline{6});
}

TEST(per_pipeline, a_list_has_one_count_a_pipeline) {
  per_pipeline const counts = {6, 6, 4};
  EXPECT_EQ(counts[2], 4);
  EXPECT_EQ(counts.size(), 3u);
  EXPECT_EQ(counts.before(0), 0);
  EXPECT_EQ(counts.before(2), 12);
  EXPECT_EQ(counts.before(3), 16);
  EXPECT_EQ(counts.most(), 6);
  EXPECT_FALSE(counts.uniform());
  EXPECT_TRUE((per_pipeline{4, 4}.uniform()));
  EXPECT_NE((per_pipeline{4, 4}), per_pipeline{4});
}

TEST(per_pipeline, sums_are_not_cut_to_32_bits) {
  constexpr auto most = std::numeric_limits<std::int32_t>::max();
  EXPECT_EQ((per_pipeline{most, most, most}.before(3)), 3 * std::int64_t{most});
  EXPECT_EQ(per_pipeline(most).before(most), std::int64_t{most} * most);
}

TEST(per_pipeline, cells_are_counted_by_pipeline_by_stage_and_by_microbatch) {
  pipeline_job const job{.pipelines = 3, .stages = 2, .microbatches = {3, 1, 2}};
  EXPECT_EQ(job.total_microbatches(), 6);
  EXPECT_EQ(job.cells(), 12u);
  std::size_t next = 0;
  std::int64_t number = 0;
  for (std::int32_t p = 0; p < 3; ++p) {
    for (std::int32_t s = 0; s < 2; ++s)
      for (std::int32_t m = 0; m < job.microbatches[p]; ++m) EXPECT_EQ(job.cell(p, s, m), next++);
    for (std::int32_t m = 0; m < job.microbatches[p]; ++m) EXPECT_EQ(job.number_of(p, m), number++);
  }
}

TEST(per_pipeline, what_is_no_number_of_microbatches_is_told_with_its_pipeline) {
  auto const told = [](per_pipeline counts) {
    return thrown_by([&] {
      validate(pipeline_job{.pipelines = 3, .stages = 4, .microbatches = std::move(counts)});
    });
  };
  EXPECT_EQ(told({6, 6, 4}), "nothing thrown");
  EXPECT_EQ(told(0), "microbatches: must be at least 1, is 0");
  EXPECT_EQ(told({6, 0, 4}), "microbatches[1]: must be at least 1, is 0");
  EXPECT_EQ(told({6, 6, -4}), "microbatches[2]: must be at least 1, is -4");
  EXPECT_EQ(told({6, 6}), "microbatches: has 2 values for 3 pipelines");
  EXPECT_EQ(told(per_pipeline(std::vector<std::int32_t>{})),
            "microbatches: has 0 values for 3 pipelines");
  constexpr auto most = std::numeric_limits<std::int32_t>::max();
  EXPECT_EQ(told({most, most, most}), "microbatches: their sum x stages is beyond 32 bits");
  EXPECT_EQ(told(most), "microbatches: pipelines x stages x microbatches is beyond 32 bits");
}

TEST(per_pipeline, shares_are_even) {
  EXPECT_EQ(even_shares(8, 3), (std::vector<std::int32_t>{3, 3, 2}));
  EXPECT_EQ(even_shares(7, 3), (std::vector<std::int32_t>{3, 2, 2}));
  EXPECT_EQ(even_shares(2, 1), (std::vector<std::int32_t>{2}));
}

}  // namespace
}  // namespace shunt::tests::per_pipeline_test

#include "shunt/solve/pipeline/search/partition_search.hpp"

#include <gtest/gtest.h>

#include <stop_token>

#include "shunt/check/layer_partition.hpp"
#include "shunt/measure/layer_bounds.hpp"
#include "support/layer_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/text.hpp"

namespace shunt::tests::partition_search_test {
namespace {

TEST(partition_search, a_chunk_a_rank_is_linear_and_no_waves_is_none) {
  random_cases random(4);
  auto const job = random_layers(random, 24, 4, 8, 9);
  auto const searched = [&](std::int32_t chunks, bool waves) {
    detail::partition_search search(job, makespan_bound(job), 50'000, std::stop_token{});
    search.search(chunks, waves, false);
    EXPECT_EQ(lines(check(job, search.plan())), "");
    EXPECT_GE(search.best(), makespan_bound(job));
    return search.plan();
  };
  EXPECT_EQ(searched(1, true).stages.size(), 4u);
  EXPECT_NE(searched(4, false).job.layout.form(), stage_layout::shape::wave);
}

TEST(partition_search, dealt_layers_are_valid_and_only_wanted_without_a_limit_of_memory) {
  random_cases random(5);
  int custom = 0;
  for (int n = 0; n < 4; ++n) {
    auto job = random_layers(random, 40, 4, 12, 20, 3);
    for (bool const limited : {false, true}) {
      job.memory = limited ? byte_count{1} << 40 : 0;
      detail::partition_search search(job, makespan_bound(job), 60'000, std::stop_token{});
      search.search(8, true, true);
      EXPECT_EQ(lines(check(job, search.plan())), "");
      bool const dealt = search.plan().job.layout.form() == stage_layout::shape::custom;
      EXPECT_FALSE(limited && dealt);
      custom += dealt;
    }
  }
  EXPECT_GT(custom, 0);
}

TEST(partition_search, no_cut_that_fits_is_nothing) {
  auto job = layers_of({{1, 1, 1}, {1, 1, 1}, {1, 1, 1}}, 2, 4);
  for (auto& l : job.layers) l.state_bytes = 10;
  job.memory = 15;
  detail::partition_search search(job, makespan_bound(job), 10'000, std::stop_token{});
  search.search(2, true, true);
  EXPECT_EQ(search.best(), detail::partition_search::nothing);
}

}  // namespace
}  // namespace shunt::tests::partition_search_test

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/solve/pipeline/search/repeated_block.hpp"

namespace shunt::tests::repeated_block_test {
namespace {

using namespace detail;

// A V of two ranks: the shortest block repeats every six slots, three for each stage of a rank.
TEST(repeated_block, the_shortest_block_of_a_v_by_hand) {
  pipeline_job const job{.stages = 4, .microbatches = 4, .layout = stage_layout::v_shaped()};
  chain_scheduler const chain(job);
  repeated_block const block(job, chain, {});
  EXPECT_EQ(block.period, 6);
  // rank 0 holds stages 0 and 3, rank 1 stages 1 and 2
  EXPECT_EQ(block.forward, (std::vector<ticks>{0, 3, 1, 2}));
  EXPECT_EQ(block.input, (std::vector<ticks>{7, 4, 6, 5}));
}

TEST(repeated_block, no_slot_of_a_rank_is_used_twice) {
  for (std::int32_t ranks = 1; ranks <= 6; ++ranks)
    for (std::int32_t turn = 0; turn < 3; ++turn) {
      pipeline_job const job{
          .stages = 2 * ranks, .microbatches = 4, .layout = stage_layout::v_shaped()};
      chain_scheduler const chain(job);
      repeated_block const block(job, chain, {.forward = {1, 0}, .input = {0, turn}, .turn = turn});
      std::vector<std::vector<int>> used(
          static_cast<std::size_t>(ranks),
          std::vector<int>(static_cast<std::size_t>(block.period), 0));
      for (std::size_t q = 0; q < block.forward.size(); ++q)
        for (ticks const t : {block.forward[q], block.input[q], block.weight[q]})
          ++used[chain.rank_of(q)][static_cast<std::size_t>(t % block.period)];
      for (auto const& slots : used)
        for (int const times : slots) EXPECT_EQ(times, 1);
    }
}

}  // namespace
}  // namespace shunt::tests::repeated_block_test

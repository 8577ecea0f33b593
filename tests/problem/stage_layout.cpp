#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/problem/stage_layout.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::stage_layout_test {
namespace {

std::vector<int> ranks_of(stage_layout const& layout, std::int32_t pipeline, std::int32_t stages) {
  std::vector<int> ranks;
  for (std::int32_t s = 0; s < stages; ++s)
    ranks.push_back(layout.rank_of({pipeline, s}, stages).value());
  return ranks;
}

TEST(stage_layout, ranks_of_stages_by_hand) {
  EXPECT_EQ(ranks_of(stage_layout::linear(), 1, 3), (std::vector<int>{3, 4, 5}));
  EXPECT_EQ(ranks_of(stage_layout::looped(2), 1, 4), (std::vector<int>{2, 3, 2, 3}));
  EXPECT_EQ(ranks_of(stage_layout::wave(3), 0, 6), (std::vector<int>{0, 1, 1, 0, 0, 1}));
  EXPECT_EQ(ranks_of(stage_layout::bidirectional(), 2, 3), (std::vector<int>{3, 4, 5}));
  EXPECT_EQ(ranks_of(stage_layout::bidirectional(), 3, 3), (std::vector<int>{5, 4, 3}));
  EXPECT_EQ(ranks_of(stage_layout::custom({1, 0, 1, 2}), 1, 2), (std::vector<int>{1, 2}));
  EXPECT_EQ(stage_layout::v_shaped(), stage_layout::wave(2));
}

TEST(stage_layout, stage_major_puts_the_peers_of_a_stage_side_by_side) {
  auto const layout = stage_layout::stage_major(2, 3);
  EXPECT_EQ(ranks_of(layout, 0, 3), (std::vector<int>{0, 2, 4}));
  EXPECT_EQ(ranks_of(layout, 1, 3), (std::vector<int>{1, 3, 5}));
  EXPECT_EQ(layout, stage_layout::custom({0, 2, 4, 1, 3, 5}));
  EXPECT_EQ(thrown_by([] { return stage_layout::stage_major(1 << 16, 1 << 16); }),
            "layout: pipelines x stages is beyond 32 bits");
  EXPECT_EQ(thrown_by([] { validate(stage_layout::stage_major(0, 3), 2, 3); }),
            "layout: has 0 seats for 2 pipelines x 3 stages");
}

TEST(stage_layout, the_stages_of_a_rank_are_those_that_name_it) {
  for (auto const& layout : {stage_layout::linear(), stage_layout::looped(3), stage_layout::wave(3),
                             stage_layout::bidirectional(),
                             stage_layout::custom({0, 1, 2, 0, 1, 2, 2, 1, 0, 3, 3, 3})}) {
    std::size_t found = 0;
    for (std::int32_t r = 0; r < layout.ranks(2, 6); ++r)
      for (worker const& w : layout.workers_of(r, 2, 6)) {
        EXPECT_EQ(layout.rank_of(w, 6), r) << to_string(layout.form());
        ++found;
      }
    EXPECT_EQ(found, 12u) << to_string(layout.form());
  }
}

TEST(stage_layout, what_does_not_fit_is_told) {
  auto const told = [](stage_layout const& layout, std::int32_t pipelines, std::int32_t stages) {
    return thrown_by([&] { validate(layout, pipelines, stages); });
  };
  EXPECT_EQ(told(stage_layout::wave(2), 1, 4), "nothing thrown");
  EXPECT_EQ(told(stage_layout::looped(0), 1, 4),
            "layout: must have at least 1 chunk a rank, has 0");
  EXPECT_EQ(told(stage_layout::looped(3), 1, 4),
            "layout: 4 stages don't divide into 3 chunks a rank");
  EXPECT_EQ(told(stage_layout::bidirectional(), 3, 4),
            "layout: is bidirectional and needs an even number of pipelines, has 3");
  EXPECT_EQ(told(stage_layout::custom({0, 0, 2}), 1, 3), "layout: rank 1 has no seat");
  EXPECT_EQ(told(stage_layout::custom({0, -1}), 1, 2), "layout: seat 1 names rank -1");
  EXPECT_EQ(told(stage_layout::custom({0, 5}), 1, 2),
            "layout: names rank 5, more than there are seats");
  EXPECT_EQ(told(stage_layout::custom({0}), 1, 2),
            "layout: has 1 seats for 1 pipelines x 2 stages");
}

}  // namespace
}  // namespace shunt::tests::stage_layout_test

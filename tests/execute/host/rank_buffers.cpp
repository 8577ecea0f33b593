#include "shunt/execute/host/rank_buffers.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::rank_buffers_test {
namespace {

using namespace detail;

program with_buffers(std::vector<byte_count> const& sizes) {
  program p;
  p.ranks.resize(3);
  for (auto const size : sizes) p.ranks[2].buffers.push_back({size, true});
  return p;
}

std::string refusal(mixing_work& w, rank_program const& own) {
  try {
    rank_buffers{}.bind(w, 2, own);
    return "";
  } catch (invalid_program const& e) {
    return e.what();
  }
}

TEST(rank_buffers, regions_are_bytes_of_the_works_memory) {
  auto p = with_buffers({64, 0, 128});
  mixing_work w(p);
  rank_buffers buffers;
  buffers.bind(w, 2, p.ranks[2]);
  EXPECT_EQ(buffers[(region{2, 8, 24})].data(), w.buffer(2, 2).data() + 8);
  EXPECT_EQ(buffers[(region{2, 8, 24})].size(), 24U);
  EXPECT_TRUE(buffers[(region{1, 0, 0})].empty());
}

TEST(rank_buffers, what_does_not_fit_is_named) {
  auto const small = with_buffers({64});
  mixing_work w(small);
  EXPECT_EQ(refusal(w, with_buffers({80}).ranks[2]), "rank 2, buffer 0: has 64 of 80 bytes");
  auto p = small;
  p.ranks[2].regions = {{0, 0, 64}, {0, 60, 8}};
  EXPECT_EQ(refusal(w, p.ranks[2]), "rank 2, buffer 0: has no bytes [60, +8)");
  p.ranks[2].regions = {{3, 0, 8}};
  EXPECT_EQ(refusal(w, p.ranks[2]), "rank 2, buffer 3: has no bytes [0, +8)");
}

}  // namespace
}  // namespace shunt::tests::rank_buffers_test

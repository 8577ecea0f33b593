#include "shunt/lower/detail/state_copies.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::state_copies_test {
namespace {

using table = std::vector<std::vector<detail::placed_state>>;

program appended(table const& before, table const& after, std::vector<layer_copy> const& copies) {
  program_builder b(static_cast<std::int32_t>(before.size()));
  for (rank_id const r : ids<rank_id>(before.size()))
    for (buffer_id const n : {0, 1}) b.buffer(r, n, 32, true);
  detail::append_state_copies(b, before, after, copies, 3, 5);
  return std::move(b).finish();
}

TEST(state_copies, sends_come_before_receives_and_copies) {
  table const before{{{0, {0, 0, 8}}}, {{1, {0, 0, 8}}}};
  table const after{{{0, {1, 8, 8}}, {1, {1, 0, 8}}}, {{0, {1, 0, 8}}}};
  auto const p = appended(before, after, {{0, 0, {1}}, {1, 1, {0}}});
  EXPECT_TRUE(check(p).empty());
  std::vector<opcode> codes;
  for (auto const& i : p.ranks[0].instructions) codes.push_back(i.code);
  EXPECT_EQ(codes, (std::vector<opcode>{opcode::send, opcode::receive, opcode::copy}));
  EXPECT_EQ(p.ranks[0].instructions[0].channel, 3);
  EXPECT_EQ(p.ranks[0].instructions[0].batch, 5);
  EXPECT_EQ(p.ranks[1].instructions.size(), 2U);
}

TEST(state_copies, refuse_ranks_that_lack_a_layer) {
  table const before{{{0, {0, 0, 8}}}, {}};
  table const after{{}, {{0, {1, 0, 8}}}};
  EXPECT_EQ(thrown_by([&] { (void)appended(before, after, {}); }),
            "rank 1 needs layer 0 and doesn't receive it");
  EXPECT_EQ(thrown_by([&] { (void)appended(before, after, {{0, 1, {0}}}); }),
            "rank 1 doesn't hold layer 0");
}

}  // namespace
}  // namespace shunt::tests::state_copies_test

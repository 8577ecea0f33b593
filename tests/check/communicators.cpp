#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/check/communicators.hpp"
#include "shunt/check/shard_map.hpp"
#include "shunt/program/builder.hpp"

namespace shunt::tests::communicators_test {
namespace {

TEST(communicators, finds_gaps_crowds_chains_and_circles) {
  using kind = shunt::communicator_violation::kind;
  auto const found = [](std::int32_t ranks, std::vector<std::vector<std::vector<rank_id>>> const&
                                                joined) {  // by rank: the groups it joins
    shunt::program_builder b(ranks);
    for (rank_id r : shunt::ids<rank_id>(ranks)) {
      b.buffer(r, 8, true);
      for (auto const& g : joined[r.index()])
        b.all_reduce(r, b.group(g), shunt::element::int64, shunt::reduction::sum, b.all_of(r, 0));
    }
    return shunt::check_communicators(std::move(b).finish());
  };
  auto const kinds = [&](std::int32_t ranks,
                         std::vector<std::vector<std::vector<rank_id>>> const& joined) {
    std::vector<kind> list;
    for (auto const& v : found(ranks, joined)) list.push_back(v.what);
    return list;
  };
  std::vector<rank_id> const a{0, 1}, b{1, 2}, c{2, 3}, d{3, 4};
  EXPECT_EQ(kinds(5, {{a}, {a, b}, {c, b}, {c, d}, {d}}), std::vector<kind>{});  // even, then odd
  EXPECT_EQ(kinds(5, {{a}, {a, b}, {b, c}, {c, d}, {d}}),
            (std::vector<kind>{kind::late, kind::late}));  // one behind the other
  EXPECT_EQ(to_string(found(5, {{a}, {a, b}, {b, c}, {c, d}, {d}})[1]),
            "group 3, rounds before its collective ends: found 4, wanted at most 2");
  EXPECT_EQ(kinds(3, {{{0, 2}}, {}, {{0, 2}}}), std::vector<kind>{kind::gap});
  EXPECT_EQ(kinds(2, {{{1, 0}}, {{1, 0}}}), std::vector<kind>{kind::gap});
  EXPECT_EQ(kinds(2, {{a, a, a}, {a, a, a}}),
            (std::vector<kind>{kind::crowded_rank, kind::crowded_rank, kind::late}));
  EXPECT_EQ(to_string(found(2, {{a, a, a}, {a, a, a}})[0]),
            "rank 0, collectives: found 3, wanted at most 2");
  std::vector<rank_id> const all{0, 1, 2};
  EXPECT_EQ(kinds(3, {{a, all}, {all, a}, {all}}),
            (std::vector<kind>{kind::cyclic_wait, kind::cyclic_wait}));
  EXPECT_EQ(kinds(2, {{a}, {}}), std::vector<kind>{kind::cyclic_wait});  // one never comes
  EXPECT_EQ(to_string(found(2, {{a}, {}})[0]),
            "group 0: a collective whose members wait in a circle");
}

}  // namespace
}  // namespace shunt::tests::communicators_test

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/core/indexed.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"
#include "support/random_choices.hpp"
#include "support/refusals.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::dependencies_test {
namespace {

TEST(dependencies, match_in_order_and_can_be_run) {
  random_choices d(5);
  for (int round = 0; round < 100; ++round) {
    auto const p = random_program(d);
    auto const found = find_dependencies(p);
    auto const order = serial_order(p, found);
    ASSERT_EQ(order.size(), p.instructions());
    std::vector<std::int32_t> at(p.ranks.size(), 0);
    std::set<std::int32_t> sent;
    for (std::size_t k = 0; k < order.size(); ++k) {
      auto const [r, n] = order[k];
      EXPECT_EQ(n, at[r.index()]++);  // each list in its order
      auto const number = found.number({r, n});
      EXPECT_EQ(found.point(number), (program_point{r, n}));
      auto const& i = p.ranks[r].instructions[static_cast<std::size_t>(n)];
      auto const partner = found.partner[static_cast<std::size_t>(number)];
      if (i.code == opcode::send) sent.insert(number);
      if (i.code == opcode::receive) {
        EXPECT_TRUE(sent.contains(partner));
        EXPECT_EQ(found.partner[static_cast<std::size_t>(partner)], number);
      }
      if (is_collective(i.code)) {
        auto const& m = found.collectives[static_cast<std::size_t>(partner)];
        EXPECT_EQ(m.group, i.group);
        auto const numbers = found.members_of(m);
        auto const place = std::find(numbers.begin(), numbers.end(), number);
        ASSERT_NE(place, numbers.end());
        EXPECT_EQ(p.groups[m.group][static_cast<std::size_t>(place - numbers.begin())], r);
      }
    }
    // the n-th message of a pair and channel is the n-th: along any list, the partners of one peer
    // and channel ascend
    for (rank_id const r : ids<rank_id>(p.ranks.size())) {
      std::map<std::tuple<opcode, rank_id, std::int32_t>, std::int32_t> last;
      for (std::int32_t n = 0; n < static_cast<std::int32_t>(p.ranks[r].instructions.size()); ++n) {
        auto const& i = p.ranks[r].instructions[static_cast<std::size_t>(n)];
        if (i.code != opcode::send && i.code != opcode::receive) continue;
        auto& before = last.try_emplace({i.code, i.peer, i.channel}, -1).first->second;
        auto const partner = found.partner[static_cast<std::size_t>(found.number({r, n}))];
        EXPECT_LT(before, partner);
        before = partner;
      }
    }
  }
}

/// Two ranks: rank 0 sends, both meet, rank 1 sends back.
program there_and_back() {
  program_builder b(2);
  auto const both = b.group({1, 0});
  b.send(0, 1, {0, 0, 8});
  b.all_reduce(0, both, element::int64, reduction::sum, {0, 0, 8});
  b.receive(0, 1, {0, 0, 8}, 2);
  b.receive(1, 0, {0, 0, 8});
  b.all_reduce(1, both, element::int64, reduction::sum, {0, 0, 8});
  b.send(1, 0, {0, 0, 8}, 2);
  return std::move(b).finish();
}

TEST(dependencies, number_instructions_rank_by_rank) {
  auto const p = there_and_back();
  auto const d = find_dependencies(p);
  EXPECT_EQ(d.first, (std::vector<std::int32_t>{0, 3, 6}));
  EXPECT_EQ(d.partner, (std::vector<std::int32_t>{3, 0, 5, 0, 0, 2}));
  ASSERT_EQ(d.collectives.size(), 1U);
  EXPECT_EQ(d.members, (std::vector<std::int32_t>{4, 1}));  // the group has rank 1 first
  EXPECT_EQ(d.number({1, 2}), 5);
  EXPECT_EQ(d.point(2), (program_point{0, 2}));
}

TEST(dependencies, one_thread_runs_each_rank_until_it_has_to_wait) {
  auto const p = there_and_back();
  EXPECT_EQ(serial_order(p, find_dependencies(p)),
            (std::vector<program_point>{{0, 0}, {1, 0}, {1, 1}, {0, 1}, {1, 2}, {0, 2}}));
}

TEST(dependencies, what_never_comes_has_no_partner_and_no_place_in_the_order) {
  auto p = there_and_back();
  p.ranks[1].instructions.pop_back();
  p.ranks[0].instructions.erase(p.ranks[0].instructions.begin() + 1);
  auto const d = find_dependencies(p);
  EXPECT_EQ(d.partner[1], dependencies::none);  // the receive
  EXPECT_EQ(d.members, (std::vector<std::int32_t>{3, dependencies::none}));
  EXPECT_EQ(serial_order(p, d), (std::vector<program_point>{{0, 0}, {1, 0}}));
}

TEST(dependencies, a_program_that_would_wait_forever_names_its_circle) {
  auto const refused = [](program const& p) { return thrown_by([&] { require_runnable(p); }); };
  program_builder b(3);
  for (rank_id const r : ids<rank_id>(3)) b.buffer(r, 8, true);
  region const all{0, 0, 8};
  auto const g = b.group({0, 1});
  auto const none = b;
  b.receive(0, 2, all, 0);
  b.send(0, 1, all, 0);
  b.receive(1, 0, all, 0);
  b.send(1, 2, all, 0);
  b.receive(2, 1, all, 0);
  b.send(2, 0, all, 0);
  EXPECT_EQ(refused(std::move(b).finish()),
            "ranks wait for each other: rank 0, instruction 0 (receive) for rank 2, instruction 0 "
            "(receive) for rank 1, instruction 0 (receive) for rank 0");
  auto never_sent = none;
  never_sent.fill(1, all);
  never_sent.receive(1, 2, all, 0);
  EXPECT_EQ(refused(std::move(never_sent).finish()),
            "rank 1, instruction 1 (receive) would wait forever: it has no counterpart");
  auto alone = none;
  alone.all_reduce(1, g, element::int64, reduction::sum, all);
  EXPECT_EQ(refused(std::move(alone).finish()),
            "rank 1, instruction 0 (all_reduce) would wait forever: it has no counterpart");
  auto crossed = none;  // the circle does not hold the rank that is found first
  crossed.receive(0, 1, all, 0);
  crossed.receive(1, 2, all, 0);
  crossed.send(1, 0, all, 0);
  crossed.receive(2, 1, all, 0);
  crossed.send(2, 1, all, 0);
  crossed.send(1, 2, all, 0);
  EXPECT_EQ(refused(std::move(crossed).finish()),
            "ranks wait for each other: rank 1, instruction 0 (receive) for rank 2, instruction 0 "
            "(receive) for rank 1");
}

TEST(dependencies, a_circle_of_many_is_cut_short) {
  program_builder b(9);
  region const all{0, 0, 8};
  for (rank_id const r : ids<rank_id>(9)) {
    b.buffer(r, 8, true);
    b.receive(r, (r.value() + 1) % 9, all, 0);
    b.send(r, (r.value() + 8) % 9, all, 0);
  }
  EXPECT_EQ(thrown_by([&] { require_runnable(std::move(b).finish()); }),
            "ranks wait for each other: rank 0, instruction 0 (receive) for rank 1, instruction 0 "
            "(receive) for rank 2, instruction 0 (receive) for rank 3, instruction 0 (receive) for "
            "rank 4, instruction 0 (receive) for rank 5, instruction 0 (receive) for 3 more, and "
            "these for rank 0");
}

}  // namespace
}  // namespace shunt::tests::dependencies_test

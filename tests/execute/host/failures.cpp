#include "shunt/execute/host/failures.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/program/builder.hpp"

namespace shunt::tests::failures_test {
namespace {

using namespace detail;

/// A chain: rank 0 sends to 1, which sends to 2; then 0 and 2 meet.
program chain() {
  program_builder b(4);
  auto const ends = b.group({0, 2});
  b.send(0, 1, {0, 0, 8});
  b.receive(1, 0, {0, 0, 8});
  b.send(1, 2, {0, 0, 8});
  b.receive(2, 1, {0, 0, 8});
  for (rank_id const r : {rank_id{0}, rank_id{2}})
    b.all_reduce(r, ends, element::int64, reduction::sum, {0, 0, 8});
  return std::move(b).finish();
}

TEST(failures, the_lowest_instruction_that_is_named_counts) {
  auto const p = chain();
  std::vector<failure_point> const failures{{1, 5, 2}, {1, 5, 1}, {1, 6, 0}, {3, 5, 0}};
  EXPECT_EQ(failure_of(failures, p, 1, 5), 1);
  EXPECT_EQ(failure_of(failures, p, 1, 4), std::nullopt);
  EXPECT_EQ(failure_of(failures, p, 3, 5), std::nullopt);  // its list is empty
  auto const length = static_cast<std::int32_t>(p.ranks[1].instructions.size());
  std::vector<failure_point> const odd{{1, 5, length + 1}, {1, 5, -1}, {1, 5, -7}};
  EXPECT_EQ(failure_of(odd, p, 1, 5), std::nullopt);  // its list has no such instruction
  EXPECT_EQ(failure_of(std::vector<failure_point>{odd[0], {1, 5, length}}, p, 1, 5), length);
}

TEST(failures, programs_of_a_session_are_for_the_same_ranks) {
  program three, four;
  three.ranks.resize(3);
  four.ranks.resize(4);
  EXPECT_NO_THROW(require_equal_ranks(three, three));
  EXPECT_THROW(require_equal_ranks(three, program{}), invalid_program);
  try {
    require_equal_ranks(three, four);
    FAIL();
  } catch (invalid_program const& e) {
    EXPECT_STREQ(e.what(), "the program is for 4 ranks, the session for 3");
  }
}

TEST(failures, ranks_go_on_as_far_as_their_dependencies_let_them) {
  auto const p = chain();
  auto const d = find_dependencies(p);
  auto const order = serial_order(p, d);
  std::vector<rank_status> statuses(4);
  EXPECT_EQ(completed_instructions(p, d, order, statuses), (std::vector<std::int32_t>{2, 2, 2, 0}));
  statuses[1].fails_before = 1;  // between its receive and its send
  EXPECT_EQ(completed_instructions(p, d, order, statuses), (std::vector<std::int32_t>{1, 1, 0, 0}));
  EXPECT_TRUE(statuses[1].silent);
  EXPECT_TRUE(statuses[0].stuck && statuses[2].stuck);
  EXPECT_TRUE(statuses[3].runs());
}

}  // namespace
}  // namespace shunt::tests::failures_test

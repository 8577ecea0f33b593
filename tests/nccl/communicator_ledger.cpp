#include "shunt/nccl/communicator_ledger.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "shunt/core/error.hpp"
#include "support/nccl_parties.hpp"

namespace shunt::tests::communicator_ledger_test {
namespace {

using namespace detail;
using namespace nccl_parties;

TEST(communicator_ledger, splits_a_path_of_intervals_twice) {
  communicator_ledger ledger(4);
  std::vector<communicator_key> const layer = {interval(0, 2), interval(2, 4), interval(4, 5),
                                               interval(5, 9)};
  auto const change = ledger.provide(layer);
  EXPECT_TRUE(change.dropped.empty());
  ASSERT_EQ(change.splits.size(), 2U);
  EXPECT_EQ(change.splits[0], (std::vector{interval(0, 2), interval(4, 5)}));
  EXPECT_EQ(change.splits[1], (std::vector{interval(2, 4), interval(5, 9)}));
  EXPECT_EQ(ledger.provide(layer), communicator_ledger::change{});
}

TEST(communicator_ledger, drops_the_longest_unused_and_keeps_the_bound) {
  communicator_ledger ledger(2);
  auto const use = [&](communicator_key const& key) { return ledger.provide({&key, 1}); };
  (void)use(interval(0, 1)), (void)use(interval(1, 2)), (void)use(interval(0, 1));
  EXPECT_EQ(use(interval(1, 3)).dropped, std::vector{interval(1, 2)});
  EXPECT_EQ(use(interval(2, 4)).dropped, std::vector<communicator_key>{});
  EXPECT_EQ(use(interval(0, 4)).dropped, (std::vector{interval(0, 1), interval(1, 3)}));
  std::vector<communicator_key> const many = {interval(0, 1), interval(1, 2), interval(1, 3)};
  try {
    (void)ledger.provide(many);
    FAIL();
  } catch (invalid_program const& e) {
    EXPECT_STREQ(e.what(),
                 "rank 1 needs more than 2 communicators at once, the most that it may keep");
  }
}

}  // namespace
}  // namespace shunt::tests::communicator_ledger_test

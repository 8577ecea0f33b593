#include "shunt/train/paced_work.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <span>

#include "shunt/core/units.hpp"

namespace shunt::tests::paced_work_test {
namespace {

using namespace std::chrono_literals;

struct counter {
  int done = 0;
  explicit counter(int begin) : done(begin) {}
  void operator()(rank_id, task const&) { ++done; }
  std::span<std::byte> buffer(rank_id, buffer_id) { return {}; }
};
/// A forward takes 3 ticks, all else none.
struct costs {
  ticks compute(rank_id, operation const& op) const { return op.kind == op_kind::forward ? 3 : 0; }
};
using paced = paced_work<counter, costs>;

std::chrono::nanoseconds time_of(paced& work, op_kind kind) {
  auto const start = std::chrono::steady_clock::now();
  work(1, task{.op = {.kind = kind}});
  return std::chrono::steady_clock::now() - start;
}

TEST(paced_work, waits_for_the_rest_of_an_operation) {
  paced work(costs{}, 2ms, 2, 40);
  EXPECT_EQ(work.computing_share(), 0);
  EXPECT_GE(time_of(work, op_kind::forward), 6ms);
  EXPECT_LT(time_of(work, op_kind::backward), 6ms);
  EXPECT_EQ(work.done, 42);
  EXPECT_GT(work.computing_share(), 0);
  EXPECT_LT(work.computing_share(), 0.5);
}

TEST(paced_work, waits_for_nothing_without_a_unit) {
  paced work(costs{}, 0ms, 2, 0);
  (void)time_of(work, op_kind::forward);
  EXPECT_EQ(work.done, 1);
  EXPECT_EQ(work.computing_share(), 0);
}

}  // namespace
}  // namespace shunt::tests::paced_work_test

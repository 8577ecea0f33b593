#include "shunt/train/stretched_work.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <thread>

namespace shunt::tests::stretched_work_test {
namespace {

struct brief_work {
  int calls = 0;
  void operator()(rank_id, task const&) {
    ++calls;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  std::span<std::byte> buffer(rank_id, buffer_id) { return {}; }
};

double milliseconds_of(stretched_work<brief_work>& work, rank_id r, op_kind kind,
                       std::int64_t iteration) {
  auto const start = std::chrono::steady_clock::now();
  work(r, {.op = {.kind = kind}, .iteration = iteration});
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

TEST(slow_stretched_work, the_latest_stretch_of_a_rank_holds) {
  stretched_work<brief_work> work;
  EXPECT_EQ(work.factor_of(1, 100), 1);
  work.stretch_by({{1, 3, 5}, {1, 1, 9}, {2, 1.5, 0}, {1, 2, 7}});
  EXPECT_EQ(work.factor_of(1, 4), 1);
  EXPECT_EQ(work.factor_of(1, 6), 3);
  EXPECT_EQ(work.factor_of(1, 8), 2);
  EXPECT_EQ(work.factor_of(1, 9), 1);
  EXPECT_EQ(work.factor_of(2, 0), 1.5);
  EXPECT_EQ(work.factor_of(0, 6), 1);
}

TEST(slow_stretched_work, forwards_and_backwards_take_longer_and_steps_do_not) {
  stretched_work<brief_work> work;
  work.stretch_by({{0, 10, 1}});
  for (op_kind const kind :
       {op_kind::forward, op_kind::backward, op_kind::backward_input, op_kind::backward_weight})
    EXPECT_GE(milliseconds_of(work, 0, kind, 1), 19.9);
  EXPECT_EQ(work.calls, 4);
  // On a busy machine a short operation may take long as well, but not ten times in a row.
  double step = 1e9, before = 1e9, other = 1e9;
  for (int n = 0; n < 10; ++n) {
    step = std::min(step, milliseconds_of(work, 0, op_kind::step, 1));
    before = std::min(before, milliseconds_of(work, 0, op_kind::forward, 0));
    other = std::min(other, milliseconds_of(work, 1, op_kind::forward, 1));
  }
  EXPECT_LT(step, 15);
  EXPECT_LT(before, 15);
  EXPECT_LT(other, 15);
}

}  // namespace
}  // namespace shunt::tests::stretched_work_test

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/check/detail/buffer_history.hpp"

namespace shunt::tests::buffer_history_test {
namespace {

using namespace detail;

TEST(buffer_history, unwritten_bytes_are_told_in_runs) {
  buffer_history history({.size = 24}, 0);
  history.write(3, {0, 8, 8}, true, [](std::int32_t) { ADD_FAILURE(); });
  std::vector<region> holes;
  std::vector<std::int32_t> writers;
  history.read(
      4, 0, {0, 0, 24}, [&](region const& hole) { holes.push_back(hole); },
      [&](std::int32_t n) { writers.push_back(n); });
  EXPECT_EQ(holes, (std::vector<region>{{0, 0, 8}, {0, 16, 8}}));
  EXPECT_EQ(writers, (std::vector<std::int32_t>{3}));
}

TEST(buffer_history, a_write_follows_the_last_reader_of_each_lane) {
  buffer_history history({.size = 16, .persistent = true}, 2);
  auto const hole = [](region const&) { ADD_FAILURE(); };
  auto const writer = [](std::int32_t) { ADD_FAILURE(); };
  history.read(1, 0, {0, 0, 16}, hole, writer);
  history.read(2, 1, {0, 0, 8}, hole, writer);
  std::vector<std::int32_t> touched;
  history.write(5, {0, 0, 8}, true, [&](std::int32_t n) { touched.push_back(n); });
  EXPECT_EQ(touched, (std::vector<std::int32_t>{1, 2}));
}

TEST(buffer_history, a_write_under_a_condition_leaves_unwritten_bytes_unwritten) {
  buffer_history history({.size = 8}, 0);
  history.write(0, {0, 0, 8}, false, [](std::int32_t) { ADD_FAILURE(); });
  int holes = 0;
  history.read(
      1, 0, {0, 0, 8}, [&](region const&) { ++holes; }, [](std::int32_t) { ADD_FAILURE(); });
  EXPECT_EQ(holes, 1);
}

}  // namespace
}  // namespace shunt::tests::buffer_history_test

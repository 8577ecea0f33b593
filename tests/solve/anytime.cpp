#include <gtest/gtest.h>

#include <stop_token>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/solve/anytime.hpp"

namespace shunt::tests::anytime_test {
namespace {

struct stoppable {
  static constexpr std::string_view name = "stoppable";
  solution<int> operator()(int problem) const { return {.plan = problem}; }
  solution<int> operator()(int problem, std::stop_token stop) const {
    return {.plan = stop.stop_requested() ? 0 : problem};
  }
};
struct unstoppable {
  static constexpr std::string_view name = "unstoppable";
  solution<int> operator()(int problem) const { return {.plan = problem}; }
};

static_assert(anytime_solver_for<stoppable, int>);
static_assert(solver_for<unstoppable, int> && !anytime_solver_for<unstoppable, int>);
static_assert(!anytime_solver_for<stoppable, char*>);

TEST(anytime, a_solver_is_asked_with_and_without_a_stop) {
  std::stop_source stop;
  EXPECT_EQ(stoppable{}(7, stop.get_token()).plan, solve(7, stoppable{}).plan);
  stop.request_stop();
  EXPECT_EQ(stoppable{}(7, stop.get_token()).plan, 0);
}

}  // namespace
}  // namespace shunt::tests::anytime_test

#include "shunt/problem/batch_problem.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "support/refusals.hpp"

namespace shunt::tests::batch_problem_test {
namespace {

TEST(batch_problem, refuse_what_can_not_be) {
  auto const field = [](auto const& change) {
    batch_problem problem{.templates = {{.count = 2, .time = 12, .stages = {{1, 2}}}}, .batch = 4};
    change(problem);
    return field_of([&] { validate(problem); });
  };
  EXPECT_EQ(field([](auto&) {}), "nothing thrown");
  EXPECT_EQ(field([](auto& p) { p.templates.clear(); }), "templates");
  EXPECT_EQ(field([](auto& p) { p.batch = 0; }), "batch");
  EXPECT_EQ(field([](auto& p) { p.batch = std::int64_t{1} << 40; }), "batch");
  EXPECT_EQ(field([](auto& p) { p.templates[0].count = 0; }), "templates[0].count");
  EXPECT_EQ(field([](auto& p) { p.templates[0].time = -1; }), "templates[0].time");
  EXPECT_EQ(field([](auto& p) { p.templates[0].stages.clear(); }), "templates[0].stages");
  EXPECT_EQ(field([](auto& p) { p.templates[0].stages = {{1, 0}}; }), "templates[0].stages");
  EXPECT_EQ(field([](auto& p) {
              p.templates[0].stages[0].forward = std::numeric_limits<double>::infinity();
            }),
            "templates[0].stages");
}

}  // namespace
}  // namespace shunt::tests::batch_problem_test

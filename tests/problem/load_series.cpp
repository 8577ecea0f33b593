#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "shunt/problem/load_series.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::load_series_test {
namespace {

TEST(load_series, broken_ones_are_named) {
  load_series const good{.layers = 1, .experts = 2, .loads = {1, 2, 3, 4}, .iterations = {5, 9}};
  EXPECT_EQ(field_of([&] { validate(good); }), "nothing thrown");
  EXPECT_EQ(good.between(6, 9),
            (load_series{.layers = 1, .experts = 2, .loads = {3, 4}, .iterations = {9}}));
  auto bad = good;
  bad.layers = 0;
  EXPECT_EQ(field_of([&] { validate(bad); }), "layers");
  bad = good;
  bad.experts = 0;
  EXPECT_EQ(field_of([&] { validate(bad); }), "experts");
  bad = good;
  bad.loads.push_back(1);
  EXPECT_EQ(field_of([&] { validate(bad); }), "loads");
  bad = good;
  bad.iterations = {5};
  EXPECT_EQ(field_of([&] { validate(bad); }), "iterations");
  bad.iterations = {5, 5};
  EXPECT_EQ(field_of([&] { validate(bad); }), "iterations[1]");
  bad = good;
  bad.loads[3] = -1;
  EXPECT_EQ(field_of([&] { validate(bad); }), "loads[1][0][1]");
  bad.loads[3] = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(field_of([&] { validate(bad); }), "loads[1][0]");
}

}  // namespace
}  // namespace shunt::tests::load_series_test

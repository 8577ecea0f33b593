#include "shunt/solve/pipeline/search/batch_search.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/measure/template_times.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::batch_search_test {
namespace {

/// Whether counts make a sum with numbers >= 1, by trying them all.
bool makes(std::vector<template_use> const& templates, std::size_t k, std::int64_t left) {
  if (k == templates.size()) return left == 0;
  for (auto rest = left - templates[k].count; rest >= 0; rest -= templates[k].count)
    if (makes(templates, k + 1, rest)) return true;
  return false;
}

TEST(batch_search, batches_are_representable_where_some_numbers_make_them) {
  random_cases d(61);
  int none = 0;
  for (int round = 0; round < 3'000; ++round) {
    batch_problem problem{.templates = {}, .batch = d.roll(1, 90)};
    for (auto k = d.roll(1, 4); k > 0; --k)
      problem.templates.push_back({.count = d.roll(1, 12), .time = 1, .stages = {{1, 1}}});
    bool const expected = makes(problem.templates, 0, problem.batch);
    EXPECT_EQ(detail::batch_is_representable(problem), expected);
    none += !expected;
  }
  EXPECT_GT(none, 300);
}

TEST(batch_search, the_most_micro_batches_end_in_time) {
  std::vector<template_use> const templates{{.count = 1, .time = 1, .stages = {{1, 2}, {2, 1}}}};
  detail::makespan_table times(templates);
  for (std::int64_t n = 1; n < 30; ++n) {
    auto const end = one_f_one_b_makespan(templates[0].stages, n);
    EXPECT_EQ(times.of(0, n), end);
    EXPECT_EQ(times.within(0, end, 100), n);
    EXPECT_EQ(times.within(0, end - 0.5, 100), n - 1);
    EXPECT_EQ(times.within(0, end, 10), std::min<std::int64_t>(n, 10));
  }
}

}  // namespace
}  // namespace shunt::tests::batch_search_test

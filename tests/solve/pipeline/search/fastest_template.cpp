#include "shunt/solve/pipeline/search/fastest_template.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "shunt/check/pipeline_template.hpp"
#include "shunt/measure/template_times.hpp"
#include "support/random_cases.hpp"
#include "support/templates.hpp"
#include "support/text.hpp"

namespace shunt::tests::fastest_template_test {
namespace {

/// All partitions into stages that a node's halves allow.
template <class Visit>
void each_partition(template_problem const& problem, std::vector<template_stage>& stages,
                    std::int32_t first, std::int32_t nodes, std::int32_t gpu, Visit&& visit) {
  auto const layers = static_cast<std::int32_t>(problem.layers.size());
  if (nodes == 0) {
    if (first == layers) visit(stages);
    return;
  }
  for (std::int32_t g = 1; gpu + g <= problem.gpus; g *= 2) {
    if (gpu % g != 0) continue;
    bool const full = gpu + g == problem.gpus;
    for (auto end = first + 1; end <= layers; ++end) {
      stages.push_back({first, end, g});
      each_partition(problem, stages, end, full ? nodes - 1 : nodes, full ? 0 : gpu + g, visit);
      stages.pop_back();
    }
  }
}

// Against all partitions: never below the least makespan, hardly ever above it, and never above
// that of the published template.
TEST(fastest_template, simulated_ones_are_nearly_always_the_fastest) {
  random_cases d(12);
  int optimal = 0, all = 0;
  double worst = 1, published_worst = 1;
  for (int round = 0; round < 150; ++round) {
    SCOPED_TRACE(round);
    auto const problem = random_templates(d, 7, 4);
    oobleck_templates const how{.cost = template_cost::simulated,
                                .microbatches_per_node = d.roll(1, 6)};
    auto const answer = how(problem);
    auto const published = oobleck_templates{}(problem);
    ASSERT_EQ(lines(check(problem, answer.plan)), "");
    for (auto const& t : answer.plan.templates) {
      ASSERT_EQ(t.microbatches, how.microbatches_per_node * t.nodes);
      double least = std::numeric_limits<double>::infinity();
      std::vector<template_stage> stages;
      each_partition(problem, stages, 0, t.nodes, 0, [&](auto const& partition) {
        least =
            std::min(least, one_f_one_b_makespan(stage_times(problem, partition), t.microbatches));
      });
      double const by_formula = one_f_one_b_makespan(
          stage_times(problem, published.plan.of(t.nodes)->stages), t.microbatches);
      ASSERT_LE(least, t.time * (1 + 1e-9));
      ASSERT_LE(t.time, by_formula * (1 + 1e-9));
      ++all;
      optimal += t.time <= least * (1 + 1e-9);
      worst = std::max(worst, t.time / least);
      published_worst = std::max(published_worst, by_formula / least);
    }
  }
  RecordProperty("optimal_of_1000", 1000 * optimal / all);
  EXPECT_GT(optimal * 100, all * 85) << optimal << " of " << all;
  EXPECT_LT(worst, 1.2);
  EXPECT_GT(published_worst, worst);
}

}  // namespace
}  // namespace shunt::tests::fastest_template_test

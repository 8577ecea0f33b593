#include "shunt/solve/pipeline/oobleck_templates.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "shunt/check/pipeline_template.hpp"
#include "shunt/measure/template_times.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"
#include "support/templates.hpp"
#include "support/text.hpp"

namespace shunt::tests::oobleck_templates_test {
namespace {

std::string planned(template_problem const& problem) {
  auto const answer = oobleck_templates{}(problem);
  EXPECT_EQ(answer.status, status::feasible) << std::string(answer.reason);
  EXPECT_EQ(lines(check(problem, answer.plan)), "");
  return shown(answer.plan);
}

TEST(oobleck_templates, vector_a) {
  EXPECT_EQ(planned(equal_layers(6, 6)), "1: 72 [0-6)x1\n"
                                         "2: 81 [0-3)x1 [3-6)x1\n"
                                         "3: 78 [0-2)x1 [2-4)x1 [4-6)x1\n"
                                         "4: 90 [0-2)x1 [2-4)x1 [4-5)x1 [5-6)x1\n"
                                         "5: 102 [0-2)x1 [2-3)x1 [3-4)x1 [4-5)x1 [5-6)x1\n"
                                         "6: 75 [0-1)x1 [1-2)x1 [2-3)x1 [3-4)x1 [4-5)x1 [5-6)x1\n");
}

TEST(oobleck_templates, vector_b) {
  EXPECT_EQ(planned(equal_layers(8, 8)),
            "1: 96 [0-8)x1\n"
            "2: 108 [0-4)x1 [4-8)x1\n"
            "3: 111 [0-3)x1 [3-6)x1 [6-8)x1\n"
            "4: 102 [0-2)x1 [2-4)x1 [4-6)x1 [6-8)x1\n"
            "5: 114 [0-2)x1 [2-4)x1 [4-6)x1 [6-7)x1 [7-8)x1\n"
            "6: 126 [0-2)x1 [2-4)x1 [4-5)x1 [5-6)x1 [6-7)x1 [7-8)x1\n"
            "7: 138 [0-2)x1 [2-3)x1 [3-4)x1 [4-5)x1 [5-6)x1 [6-7)x1 [7-8)x1\n"
            "8: 99 [0-1)x1 [1-2)x1 [2-3)x1 [3-4)x1 [4-5)x1 [5-6)x1 [6-7)x1 [7-8)x1\n");
}

TEST(oobleck_templates, vector_c) {
  EXPECT_EQ(
      planned(template_case({{1, 2}, {2, 4}, {1, 2}, {3, 3}, {1, 2}, {1, 2}}, 3, 4, {0.1, 0.2})),
      "1: 33.6 [0-6)x4\n"
      "2: 37.8 [0-3)x4 [3-6)x4\n"
      "3: 38.15 [0-2)x4 [2-4)x4 [4-6)x4\n");
}

TEST(oobleck_templates, vector_d) {
  EXPECT_EQ(planned(template_case({{5, 1}, {1, 1}, {1, 1}, {1, 9}, {2, 2}, {4, 4}, {1, 3}}, 5)),
            "1: 144 [0-7)x1\n"
            "2: 172 [0-4)x1 [4-7)x1\n"
            "3: 174 [0-3)x1 [3-5)x1 [5-7)x1\n"
            "4: 184 [0-2)x1 [2-4)x1 [4-6)x1 [6-7)x1\n"
            "5: 182 [0-3)x1 [3-4)x1 [4-5)x1 [5-6)x1 [6-7)x1\n");
}

TEST(oobleck_templates, vector_e) {
  EXPECT_EQ(planned(template_case({{3, 6}, {1, 1}, {1, 1}, {8, 8}}, 4, 2, {0.5})),
            "1: 74 [0-4)x2\n"
            "2: 84.5 [0-3)x2 [3-4)x2\n"
            "3: 108.5 [0-1)x2 [1-3)x2 [3-4)x2\n"
            "4: 135.5 [0-1)x2 [1-2)x2 [2-3)x2 [3-4)x2\n");
}

// The recursion as it is written, with every cut looked at: another program for the same rules.
class plain_recursion {
 public:
  explicit plain_recursion(template_problem const& problem) : problem_(problem) {}

  std::string best(std::int32_t nodes) {
    std::optional<plan> least;
    auto const layers = static_cast<std::int32_t>(problem_.layers.size());
    for (auto stages = nodes; stages <= layers; ++stages)
      if (auto const found = solve(stages, 0, layers, nodes, problem_.gpus);
          found && (!least || found->time < least->time))
        least = found;
    return least ? shown(pipeline_template{nodes, least->stages, least->time, 0}) : "none";
  }

 private:
  struct plan {
    std::vector<template_stage> stages;
    std::vector<double> latency;
    std::size_t slowest;
    double once, time;
  };

  std::optional<plan> solve(std::int32_t s, std::int32_t a, std::int32_t b, std::int32_t n,
                            std::int32_t g) {
    auto const key = std::tuple(s, a, b, n, g);
    if (auto const known = known_.find(key); known != known_.end()) return known->second;
    std::optional<plan> least;
    bool const fits = s <= b - a && (n == 1 ? s <= g && (s > 1 || (g & (g - 1)) == 0) : n <= s);
    if (fits && s == 1) {
      double const t = time_of_stage(problem_, a, b, g).latency();
      least = plan{{{a, b, g}}, {t}, 0, t, t + 2 * t + t};
    } else if (fits) {
      for (auto k = a + 1; k < b; ++k)
        for (std::int32_t m = 1; m < (n == 1 ? 2 : n); ++m)
          for (std::int32_t t = 1; t < s; ++t) {
            if (n == 1 && g % 2 != 0) continue;
            auto const h = n == 1 ? g / 2 : g;
            auto const left = solve(t, a, k, n == 1 ? 1 : m, h);
            auto const right = solve(s - t, k, b, n == 1 ? 1 : n - m, h);
            if (!left || !right) continue;
            auto both = joined(*left, *right);
            if (!least || both.time < least->time) least = both;
          }
    }
    return known_[key] = least;
  }

  static plan joined(plan const& left, plan const& right) {
    plan both = left;
    both.stages.insert(both.stages.end(), right.stages.begin(), right.stages.end());
    both.latency.insert(both.latency.end(), right.latency.begin(), right.latency.end());
    if (!(left.latency[left.slowest] > right.latency[right.slowest]))
      both.slowest = left.stages.size() + right.slowest;
    both.once = left.once + right.once;
    double behind = 0;
    for (auto i = both.slowest; i < both.latency.size(); ++i) behind += both.latency[i];
    both.time = both.once +
                static_cast<double>(2 * both.stages.size() + both.slowest + 1) *
                    both.latency[both.slowest] +
                behind;
    return both;
  }

  template_problem const& problem_;
  std::map<std::tuple<std::int32_t, std::int32_t, std::int32_t, std::int32_t, std::int32_t>,
           std::optional<plan>>
      known_;
};

// Bounds leave cuts out and change nothing, ties and rounding included.
TEST(oobleck_templates, equal_the_recursion_without_bounds) {
  random_cases d(11);
  int several = 0;
  for (int round = 0; round < 600; ++round) {
    SCOPED_TRACE(round);
    auto const problem = random_templates(d, 10, 5);
    auto const answer = oobleck_templates{}(problem);
    ASSERT_EQ(lines(check(problem, answer.plan)), "");
    plain_recursion plain(problem);
    auto const layers = static_cast<std::int32_t>(problem.layers.size());
    ASSERT_EQ(answer.plan.templates.size(),
              static_cast<std::size_t>(std::min(problem.nodes, layers)));
    for (auto const& t : answer.plan.templates) {
      ASSERT_EQ(shown(t), plain.best(t.nodes));
      several += t.stages.size() > static_cast<std::size_t>(t.nodes);
    }
  }
  EXPECT_GT(several, 100);  // templates of more stages than nodes
}

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
TEST(oobleck_templates, simulated_ones_are_nearly_always_the_fastest) {
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

TEST(oobleck_templates, time_of_the_published_cost_is_no_measure_of_speed) {
  auto const set = templates_of_b();
  EXPECT_GT(set.of(2)->time, set.of(1)->time);  // two nodes, longer
  EXPECT_LT(set.of(8)->time, set.of(7)->time);  // not monotone
}

TEST(oobleck_templates, memory_sets_the_smallest_template) {
  auto problem = equal_layers(6, 4);
  for (auto& layer : problem.layers) layer.parameters = 10, layer.activations = 15;
  problem.memory = 125;  // 6 x 60 + 15 = 375 = 3 x 125
  EXPECT_EQ(least_nodes(problem), 3);
  EXPECT_EQ(oobleck_templates{}(problem).plan.templates.front().nodes, 3);
  problem.memory = 124;
  EXPECT_EQ(least_nodes(problem), 4);
  problem.minimum = 6;
  EXPECT_EQ(least_nodes(problem), 6);
  problem.minimum = 1;
  problem.memory = 20;
  EXPECT_EQ(std::string(oobleck_templates{}(problem).reason),
            "memory: a pipeline needs at least 19 nodes, there are 4");
}

TEST(oobleck_templates, have_none_where_nothing_fits) {
  EXPECT_EQ(oobleck_templates{}(equal_layers(3, 5)).plan.templates.size(), 3);
  auto few = equal_layers(3, 5);
  few.minimum = 4;
  EXPECT_EQ(oobleck_templates{}(few).status, status::infeasible);
  EXPECT_EQ(std::string(oobleck_templates{}(few).reason),
            "layers: 3 are fewer than the stages of 4 nodes, the smallest template");
  EXPECT_EQ(std::string(oobleck_templates{}(equal_layers(8, 2, 6)).reason),
            "gpus: 6 of a node are no power of two, and stages take halves of halves");
  few.minimum = 6;
  EXPECT_EQ(std::string(oobleck_templates{}(few).reason),
            "minimum: a pipeline needs at least 6 nodes, there are 5");
  EXPECT_EQ(
      field_of([] { (void)oobleck_templates{.microbatches_per_node = 0}(equal_layers(2, 1)); }),
      "microbatches_per_node");
}

TEST(oobleck_templates, large_problems_have_an_answer) {
  auto const problem = equal_layers(128, 32, 8);
  auto const answer = oobleck_templates{}(problem);
  EXPECT_EQ(answer.plan.templates.size(), 32);
  EXPECT_EQ(lines(check(problem, answer.plan)), "");
  EXPECT_EQ(answer.plan.of(32)->time, 193.5);
}

}  // namespace
}  // namespace shunt::tests::oobleck_templates_test

#include "shunt/solve/pipeline/oobleck_instances.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "support/random_cases.hpp"
#include "support/refusals.hpp"
#include "support/templates.hpp"

namespace shunt::tests::oobleck_instances_test {
namespace {

std::string shown(pipeline_instances const& plan) {
  std::string all;
  for (auto const& p : plan.pipelines) {
    all += (all.empty() ? "" : " ") + std::to_string(p.nodes) + "x" +
           std::to_string(p.microbatches) + "@" + to_string(p.ranks.front());
    EXPECT_EQ(std::ssize(p.ranks), p.nodes);
  }
  return all;
}

void each_multiset(std::int32_t least, std::int32_t most, std::int32_t left,
                   std::vector<std::int32_t>& now,
                   std::function<void(std::vector<std::int32_t> const&)> const& visit) {
  if (left == 0) visit(now);
  for (auto n = least; n <= std::min(most, left); ++n) {
    now.push_back(n);
    each_multiset(n, most, left - n, now, visit);
    now.pop_back();
  }
}

// Every multiset by itself, and the least of them.
TEST(oobleck_instances, equal_the_best_of_all_multisets) {
  random_cases d(41);
  int infeasible = 0;
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(round);
    auto const layers = d.roll(3, 9), nodes = d.roll(1, 9);
    auto problem = equal_layers(layers, nodes);
    problem.minimum = d.roll(1, 3);
    oobleck_instances how{.templates = oobleck_templates{}(problem).plan,
                          .batch = d.roll(1, 30),
                          .objective = d.roll(0, 1) == 0 ? batch_objective::makespan
                                                         : batch_objective::published,
                          .failures = d.roll(0, 2)};
    for (auto n = d.roll(0, 5); n > 0; --n) how.across_pipelines.push_back(d.roll(0, 40));
    if (how.templates.templates.empty()) continue;
    double least = std::numeric_limits<double>::infinity();
    std::vector<std::int32_t> now;
    each_multiset(
        problem.minimum, static_cast<std::int32_t>(problem.layers.size()), problem.nodes, now,
        [&](auto const& chosen) {
          if (std::ssize(chosen) <= how.failures) return;
          auto const batch = batch_over(problem, how.templates, chosen, how.batch);
          auto const split = oobleck_batch{.objective = how.objective}(batch);
          if (!split.has_plan()) return;
          double time = iteration_time(batch, split.plan, how.objective);
          if (!how.across_pipelines.empty())
            time += how.across_pipelines[std::min(how.across_pipelines.size(), chosen.size()) - 1];
          least = std::min(least, time);
        });
    auto const answer = how(problem);
    ASSERT_EQ(answer.has_plan(), least < std::numeric_limits<double>::infinity());
    infeasible += !answer.has_plan();
    if (!answer.has_plan()) continue;
    ASSERT_EQ(answer.objective, least);
    std::int64_t batch = 0;
    std::int32_t rank = 0;
    for (auto const& p : answer.plan.pipelines) {
      batch += p.microbatches;
      ASSERT_EQ(std::ssize(p.ranks), p.nodes);
      for (rank_id const r : p.ranks) ASSERT_EQ(r, rank++);
    }
    ASSERT_EQ(batch, how.batch);
    ASSERT_EQ(rank, problem.nodes);
  }
  EXPECT_GT(infeasible, 10);
}

TEST(oobleck_instances, reductions_across_pipelines_count) {
  auto const problem = equal_layers(8, 8);
  oobleck_instances how{.templates = templates_of_b(), .batch = 32};
  EXPECT_EQ(shown(how(problem).plan), "1x4@0 1x4@1 1x4@2 1x4@3 1x4@4 1x4@5 1x4@6 1x4@7");
  how.across_pipelines = {0, 1000};
  EXPECT_EQ(shown(how(problem).plan), "8x32@0");
  how.failures = 1;
  EXPECT_EQ(how(problem).plan.pipelines.size(), 8);
}

TEST(oobleck_instances, say_what_is_missing) {
  auto problem = equal_layers(8, 3);
  problem.minimum = 2;
  oobleck_instances how{.templates = oobleck_templates{}(problem).plan, .batch = 4, .failures = 1};
  EXPECT_EQ(std::string(how(problem).reason),
            "no templates for 3 nodes, at least 2 pipelines, take a batch of 4");
  how.failures = 0, how.most_multisets = 1;
  EXPECT_EQ(how(problem).status, status::optimal);
  problem.nodes = 8;
  how.templates = templates_of_b();
  EXPECT_EQ(how(problem).status, status::limit_reached);
  auto const field = [&](oobleck_instances const& asked) {
    return field_of([&] { (void)asked(problem); });
  };
  EXPECT_EQ(field({}), "templates");
  EXPECT_EQ(field({.templates = templates_of_b(), .batch = 0}), "batch");
  EXPECT_EQ(field({.templates = templates_of_b(), .failures = -1}), "failures");
  EXPECT_EQ(field({.templates = templates_of_b(), .across_pipelines = {-1}}), "across_pipelines");
  EXPECT_EQ(field({.templates = templates_of_b(), .most_multisets = 0}), "most_multisets");
  EXPECT_EQ(field({.templates = {{{.nodes = 2}, {.nodes = 1}}}}), "templates");
  EXPECT_EQ(field({.templates = {{{.nodes = 1, .stages = {{0, 9, 1}}}}}}), "templates");
}

}  // namespace
}  // namespace shunt::tests::oobleck_instances_test

#include "shunt/solve/pipeline/oobleck_batch.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/batch_split.hpp"
#include "shunt/measure/template_times.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"
#include "support/templates.hpp"
#include "support/text.hpp"

namespace shunt::tests::oobleck_batch_test {
namespace {

using counts = std::vector<std::pair<std::int32_t, std::int32_t>>;  // nodes, pipelines

batch_problem batch_of(counts const& uses, std::int64_t batch) {
  std::vector<std::int32_t> nodes;
  for (auto const& [n, count] : uses) nodes.insert(nodes.end(), static_cast<std::size_t>(count), n);
  return batch_over(equal_layers(8, 8), templates_of_b(), nodes, batch);
}

struct published {
  std::vector<std::int64_t> microbatches;
  double objective, time;
};

published by_published(counts const& uses, std::int64_t batch) {
  auto const problem = batch_of(uses, batch);
  auto const answer = oobleck_batch{.objective = batch_objective::published}(problem);
  EXPECT_EQ(lines(check(problem, answer.plan)), "");
  published shown{
      {}, answer.objective, iteration_time(problem, answer.plan, batch_objective::published)};
  for (auto const& each : answer.plan.microbatches) {
    EXPECT_EQ(std::count(each.begin(), each.end(), each.front()), std::ssize(each));
    shown.microbatches.push_back(each.front());
  }
  return shown;
}

void expect(published const& found, std::vector<std::int64_t> const& microbatches, double objective,
            double time) {
  EXPECT_EQ(found.microbatches, microbatches);
  EXPECT_NEAR(found.objective, objective, 1e-6);
  EXPECT_EQ(found.time, time);
}

TEST(oobleck_batch, vector_of_one_template) { expect(by_published({{2, 2}}, 16), {8}, 0, 864); }
TEST(oobleck_batch, vector_of_two_templates) {
  expect(by_published({{2, 1}, {3, 1}}, 20), {8, 12}, 72, 1332);
}
TEST(oobleck_batch, vector_of_three_templates) {
  expect(by_published({{2, 2}, {3, 1}, {4, 1}}, 48), {9, 12, 18}, 906, 1836);
}
TEST(oobleck_batch, vector_of_three_pipelines_and_one) {
  expect(by_published({{4, 3}, {5, 1}}, 72), {17, 21}, 1026.045, 2394);
}
TEST(oobleck_batch, vector_of_two_of_five) {
  expect(by_published({{3, 1}, {5, 2}}, 40), {10, 15}, 392, 1710);
}

/// All numbers of micro-batches, in lexicographic order.
void each_split(batch_problem const& problem, std::vector<std::int64_t>& now, std::int64_t left,
                std::function<void(std::vector<std::int64_t> const&)> const& visit) {
  if (now.size() == problem.templates.size()) {
    if (left == 0) visit(now);
    return;
  }
  auto const count = problem.templates[now.size()].count;
  for (std::int64_t n = 1; n * count <= left; ++n) {
    now.push_back(n);
    each_split(problem, now, left - n * count, visit);
    now.pop_back();
  }
}

double spread(batch_problem const& problem, std::vector<std::int64_t> const& split) {
  std::vector<double> values;
  double mean = 0, sum = 0;
  for (std::size_t k = 0; k < split.size(); ++k) {
    auto const& used = problem.templates[k];
    values.push_back(used.time / static_cast<double>(used.stages.size()) *
                     static_cast<double>(split[k]));
    mean += values.back() / static_cast<double>(split.size());
  }
  for (double const v : values) sum += (v - mean) * (v - mean);
  return sum;
}

batch_problem random_batch(random_cases& d) {
  batch_problem problem{.templates = {}, .batch = d.roll(1, 30)};
  for (auto k = d.roll(1, 4); k > 0; --k) {
    template_use used{.count = d.roll(1, 3), .time = d.roll(1, 60) * 0.5, .stages = {}};
    for (auto s = d.roll(1, 4); s > 0; --s)
      used.stages.push_back({static_cast<double>(d.roll(1, 9)), static_cast<double>(d.roll(1, 9))});
    problem.templates.push_back(used);
  }
  return problem;
}

// Exhaustive search: published objective, makespan with equal numbers, and makespan.
TEST(oobleck_batch, equal_the_best_of_all_splits) {
  random_cases d(31);
  int none = 0;
  for (int round = 0; round < 2'000; ++round) {
    SCOPED_TRACE(round);
    auto const problem = random_batch(d);
    double least = std::numeric_limits<double>::infinity(), fastest = least;
    std::vector<std::int64_t> now;
    each_split(problem, now, problem.batch, [&](auto const& split) {
      least = std::min(least, spread(problem, split));
      double longest = 0;
      for (std::size_t k = 0; k < split.size(); ++k)
        longest = std::max(longest, one_f_one_b_makespan(problem.templates[k].stages, split[k]));
      fastest = std::min(fastest, longest);
    });
    bool const possible = least < std::numeric_limits<double>::infinity();
    none += !possible;
    for (auto const objective : {batch_objective::published, batch_objective::makespan}) {
      auto const answer = oobleck_batch{.objective = objective, .alike = true}(problem);
      ASSERT_EQ(answer.has_plan(), possible) << std::string(answer.reason);
      if (!possible) continue;
      ASSERT_EQ(lines(check(problem, answer.plan)), "");
      ASSERT_NEAR(answer.objective, objective == batch_objective::published ? least : fastest,
                  1e-6);
    }
    // pipelines one by one: the same as templates of one pipeline each
    auto each = problem;
    each.templates.clear();
    for (auto used : problem.templates) {
      auto const count = static_cast<std::size_t>(std::exchange(used.count, 1));
      each.templates.insert(each.templates.end(), count, used);
    }
    if (each.templates.size() > 5) continue;
    auto const apart = oobleck_batch{.alike = true}(each), free = oobleck_batch{}(each);
    ASSERT_EQ(apart.has_plan(), free.has_plan());
    if (!free.has_plan()) continue;
    ASSERT_EQ(apart.objective, free.objective);
    ASSERT_EQ(lines(check(each, free.plan)), "");
  }
  EXPECT_GT(none, 50);
}

// By the makespan, pipelines of one template may differ by one.
TEST(oobleck_batch, spread_what_is_left_over_pipelines) {
  auto const problem = batch_of({{2, 2}}, 15);
  auto const answer = oobleck_batch{}(problem);
  EXPECT_EQ(answer.plan.microbatches, (std::vector<std::vector<std::int64_t>>{{8, 7}}));
  EXPECT_EQ(answer.objective, 24 + 7 * 12);
  auto const equal = oobleck_batch{.alike = true}(problem);
  EXPECT_EQ(equal.status, status::infeasible);
  EXPECT_EQ(std::string(equal.reason), "batch: no equal numbers of micro-batches for the pipelines "
                                       "of each template make 15");
  EXPECT_EQ(std::string(oobleck_batch{}(batch_of({{2, 2}}, 1)).reason),
            "batch: 1 micro-batches are fewer than 2 pipelines");
}

// The original's time of an iteration multiplies the whole T; the makespan is far below.
TEST(oobleck_batch, the_makespan_is_not_above_that_of_the_published_split) {
  random_cases d(32);
  int better = 0;
  for (int round = 0; round < 300; ++round) {
    counts uses;
    for (std::int32_t n = 1; n <= 8; ++n)
      if (d.roll(0, 3) == 0) uses.emplace_back(n, d.roll(1, 2));
    if (uses.empty()) continue;
    auto const problem = batch_of(uses, d.roll(20, 80));
    auto const fair = oobleck_batch{.alike = true}(problem);
    auto const original = oobleck_batch{.objective = batch_objective::published}(problem);
    ASSERT_EQ(fair.has_plan(), original.has_plan());
    if (!fair.has_plan()) continue;
    auto const of_original = iteration_time(problem, original.plan, batch_objective::makespan);
    ASSERT_LE(fair.objective, of_original);
    better += fair.objective < of_original;
  }
  EXPECT_GT(better, 50);
}

TEST(oobleck_batch, large_batches_have_an_answer) {
  counts uses;
  for (std::int32_t n = 1; n <= 7; ++n) uses.emplace_back(n, 1 + n % 3);
  auto const problem = batch_of(uses, 4'001);
  for (auto const objective : {batch_objective::published, batch_objective::makespan}) {
    auto const answer = oobleck_batch{.objective = objective}(problem);
    EXPECT_EQ(lines(check(problem, answer.plan)), "");
  }
}

TEST(oobleck_batch, every_pipeline_needs_its_template) {
  EXPECT_EQ(field_of([] { (void)batch_of({{9, 1}}, 9); }), "templates");
}

}  // namespace
}  // namespace shunt::tests::oobleck_batch_test

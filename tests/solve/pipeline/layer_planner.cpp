#include "shunt/solve/pipeline/layer_planner.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stop_token>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/check/layer_partition.hpp"
#include "shunt/measure/layer_bounds.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/solve/pipeline/branch_and_bound.hpp"
#include "shunt/solve/pipeline/improve_order.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"
#include "support/layer_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"
#include "support/text.hpp"

namespace shunt::tests::layer_planner_test {
namespace {

/// Returns the makespan of even numbers of layers under interleaved 1F1B with v chunks a rank.
ticks even_interleaved(layer_job const& job, std::int32_t v) {
  auto const layers = static_cast<std::int32_t>(job.layers.size());
  auto const made = pipeline_job_of(job, even_cut(layers, v * job.ranks), stage_layout::looped(v));
  return makespan(made, interleaved_one_f_one_b{}.order(made));
}

/// A chain with an embedding, uneven layers or a heavy loss.
layer_job uneven_model(int kind, std::int32_t layers, std::int32_t ranks,
                       std::int32_t microbatches) {
  layer_job job{.ranks = ranks, .microbatches = microbatches};
  for (std::int32_t l = 0; l < layers; ++l)
    job.layers.push_back(
        kind == 2 && l % 2 == 1
            ? model_layer{.name = "moe", .forward = 22, .backward_input = 24, .backward_weight = 18}
            : model_layer{
                  .name = "layer", .forward = 10, .backward_input = 10, .backward_weight = 10});
  ticks const loss = kind == 0 ? 60 : 30;
  if (kind > 0)
    job.layers.front() = {
        .name = "embedding", .forward = 2, .backward_input = 0, .backward_weight = 3};
  job.layers.back() = {
      .name = "loss", .forward = loss, .backward_input = loss, .backward_weight = loss};
  return job;
}

TEST(layer_planner, one_rank_and_equal_layers_are_optimal) {
  auto const one = layer_planner{}(layers_of({{1, 2, 3}, {4, 5, 6}, {0, 0, 1}}, 1, 7));
  EXPECT_EQ(one.status, status::optimal);
  EXPECT_EQ(one.objective, 7 * 22.0);
  auto const two = layer_planner{}(layers_of({{1, 1, 1}, {1, 1, 1}}, 2, 8));
  EXPECT_EQ(two.status, status::optimal);
  EXPECT_EQ(two.objective, 25);
}

TEST(layer_planner, a_heavy_last_layer_is_a_stage_of_its_own) {
  std::vector<std::vector<ticks>> costs(12, {1, 1, 1});
  costs.push_back({6, 6, 6});
  auto const job = layers_of(costs, 4, 16);
  auto const answer = layer_planner{}(job);
  EXPECT_EQ(lines(check(job, answer.plan)), "");
  EXPECT_EQ(answer.status, status::optimal);
  EXPECT_EQ(answer.objective, 12 + 16 * 18);
  EXPECT_EQ(answer.plan.stages.back(), (layer_range{12, 13}));
}

TEST(layer_planner, plans_are_valid_above_the_bound_and_never_worse_than_even_interleaved_layers) {
  random_cases random(11);
  for (int n = 0; n < 40; ++n) {
    auto const ranks = random.roll(1, 5), layers = random.roll(ranks, 20);
    auto const microbatches = random.roll(1, 12), heavy = random.roll(1, 8);
    auto job = random_layers(random, layers, ranks, microbatches, 9, heavy);
    job.pipelines = random.roll(1, 2);
    job.transfer = random.roll(0, 3);
    if (n % 3 == 0) job.layers[0].backward_input = job.layers[0].forward = 0;
    auto const answer = layer_planner{.effort = 60'000}(job);
    ASSERT_TRUE(answer.has_plan());
    EXPECT_EQ(lines(check(job, answer.plan)), "") << n;
    EXPECT_EQ(static_cast<double>(makespan(answer.plan.job, answer.plan.schedule)),
              answer.objective);
    EXPECT_EQ(answer.lower_bound, static_cast<double>(makespan_bound(job)));
    EXPECT_GE(answer.objective, answer.lower_bound) << n;
    EXPECT_EQ(answer.status == status::optimal, answer.objective == answer.lower_bound);
    for (std::int32_t v = 1; v * ranks <= layers && v <= 8; ++v)
      EXPECT_LE(answer.objective, static_cast<double>(even_interleaved(job, v))) << n << ' ' << v;
  }
}

// Every cut of every layout, each under the best order of three solvers. `proved`: no cut is below.
TEST(layer_planner, small_layers_are_near_the_best_of_every_cut_and_order) {
  random_cases random(23);
  double sum = 0, worst = 1;
  int cases = 0, proved = 0;
  for (int n = 0; n < 30; ++n) {
    auto const ranks = random.roll(2, 4), layers = random.roll(ranks + 1, 12);
    auto const microbatches = random.roll(2, 6), heavy = random.roll(1, 4);
    auto job = random_layers(random, layers, ranks, microbatches, 9, heavy);
    auto const answer = layer_planner{}(job);
    EXPECT_EQ(lines(check(job, answer.plan)), "");
    std::vector<std::pair<ticks, pipeline_job>> cuts;
    for (auto const& of : layouts_of(job))
      each_cut(layers, of.second, [&](auto const& cut) {
        auto made = pipeline_job_of(job, cut, of.first);
        auto const bound = makespan_bound(made);
        cuts.emplace_back(bound, std::move(made));
      });
    std::vector<std::pair<ticks, std::size_t>> by_bound;
    for (auto const& [bound, made] : cuts) by_bound.emplace_back(bound, by_bound.size());
    std::sort(by_bound.begin(), by_bound.end());
    double best = std::numeric_limits<double>::max(), least = best;
    for (auto const& [bound, number] : by_bound) {
      auto const& made = cuts[number].second;
      if (static_cast<double>(bound) >= best) break;
      auto order = (zero_bubble{.effort = 50'000} | improve_order{.effort = 50'000})(made);
      double own = static_cast<double>(bound);
      if (order.objective > own && order.objective > best * 0.97) {
        auto const exact = branch_and_bound{.stagger = false, .most_nodes = 2'000}(made);
        own = std::max(own, exact.lower_bound);
        if (exact.has_plan()) order.objective = std::min(order.objective, exact.objective);
      }
      best = std::min(best, order.objective);
      least = std::min(least, own);
    }
    least = std::min(least, best);
    double const over = answer.objective / best;
    sum += over;
    worst = std::max(worst, over);
    proved += least == best;
    ++cases;
    EXPECT_LE(answer.lower_bound, best);
  }
  RecordProperty("mean_percent_over", std::to_string(100 * (sum / cases - 1)));
  RecordProperty("worst_percent_over", std::to_string(100 * (worst - 1)));
  RecordProperty("proved", std::to_string(proved) + " of " + std::to_string(cases));
  EXPECT_LE(sum / cases, 1.0);
  EXPECT_LE(worst, 1.02);
}

TEST(layer_planner, uneven_layers_gain_a_fifth_over_even_interleaved_1f1b) {
  double sum = 0;
  int cases = 0;
  for (int kind = 0; kind < 3; ++kind)
    for (auto const& [layers, ranks, microbatches] :
         {std::tuple{32, 4, 16}, std::tuple{32, 8, 32}, std::tuple{48, 8, 64}}) {
      auto const job = uneven_model(kind, layers, ranks, microbatches);
      auto const answer = layer_planner{}(job);
      EXPECT_EQ(lines(check(job, answer.plan)), "");
      auto even = std::numeric_limits<ticks>::max();
      for (std::int32_t v = 1; v * ranks <= layers && v <= 8; ++v)
        even = std::min(even, even_interleaved(job, v));
      double const gain = static_cast<double>(even) / answer.objective;
      EXPECT_GE(gain, 1);
      sum += gain;
      ++cases;
    }
  EXPECT_GE(sum / cases, 1.2);
}

TEST(layer_planner, keeps_the_memory) {
  random_cases random(31);
  int planned = 0;
  for (int n = 0; n < 30; ++n) {
    auto const ranks = random.roll(2, 4), layers = random.roll(ranks, 14);
    auto job = random_layers(random, layers, ranks, random.roll(2, 8), 9);
    byte_count all = 0;
    for (auto& l : job.layers) {
      l.state_bytes = random.roll(0, 20), l.activation_bytes = random.roll(0, 5);
      all += l.state_bytes + 2 * l.activation_bytes;
    }
    job.memory = all * 2 / ranks + 1;
    auto const answer = layer_planner{.effort = 60'000}(job);
    if (!answer.has_plan()) {
      EXPECT_NE(std::string(answer.reason), "");
      continue;
    }
    ++planned;
    EXPECT_EQ(lines(check(job, answer.plan)), "") << n;
    EXPECT_GE(answer.objective, answer.lower_bound) << n;
  }
  EXPECT_GE(planned, 20);
}

TEST(layer_planner, says_which_layer_does_not_fit) {
  auto job = layers_of({{1, 1, 1}, {1, 1, 1}, {1, 1, 1}}, 2, 4);
  for (auto& l : job.layers) l.state_bytes = 10, l.activation_bytes = 2;
  job.memory = 11;
  auto answer = layer_planner{}(job);
  EXPECT_EQ(answer.status, status::infeasible);
  EXPECT_EQ(answer.reason,
            "layer 0 (layer0) holds 12 bytes with one micro-batch, the memory of a rank is 11");
  job.memory = 14;
  answer = layer_planner{}(job);
  EXPECT_EQ(answer.status, status::infeasible);
  EXPECT_EQ(answer.reason,
            "the layers hold 36 bytes with one micro-batch, the memory of 2 ranks is 14 each");
  job.memory = 18;
  answer = layer_planner{}(job);
  EXPECT_EQ(answer.status, status::limit_reached);
  EXPECT_EQ(answer.reason, "no cut was found whose stages fit the memory, 18 bytes a rank");
  job.memory = 24;
  EXPECT_TRUE(layer_planner{}(job).has_plan());
  job.ranks = 4;
  EXPECT_EQ(field_of([&] { (void)layer_planner{}(job); }), "layers");
}

TEST(layer_planner, a_stop_leaves_a_plan_and_answers_repeat) {
  random_cases random(2);
  auto job = random_layers(random, 40, 4, 16, 20, 3);
  std::stop_source stop;
  stop.request_stop();
  auto const stopped = layer_planner{}(job, stop.get_token());
  ASSERT_TRUE(stopped.has_plan());
  EXPECT_EQ(lines(check(job, stopped.plan)), "");
  auto const answer = layer_planner{}(job);
  EXPECT_LE(answer.objective, stopped.objective);
  EXPECT_EQ(answer, layer_planner{}(job));
}

// Target: 1 % above the bound. What is reached is asserted, so that it does not get worse.
TEST(layer_planner, layers_of_random_costs_with_a_heavy_last_one_on_sixteen_ranks) {
  for (auto const& [heavy, most] : {std::pair{4, 1.03}, std::pair{8, 1.04}, std::pair{16, 1.0}}) {
    random_cases random(41);
    auto job = random_layers(random, 128, 16, 64, 20);
    auto& last = job.layers.back();
    last.forward = last.backward_input = last.backward_weight = 10 * heavy;
    auto const answer = layer_planner{}(job);
    EXPECT_EQ(lines(check(job, answer.plan)), "");
    EXPECT_LE(answer.objective, most * answer.lower_bound) << heavy;
    auto const looped = layer_planner{.effort = 50'000, .waves = false, .dealt = false}(job);
    EXPECT_NE(looped.plan.job.layout.form(), stage_layout::shape::wave);
    EXPECT_NE(looped.plan.job.layout.form(), stage_layout::shape::custom);
    EXPECT_LE(answer.objective, looped.objective);
  }
}

TEST(layer_planner, dealt_layers_in_several_pipelines) {
  int dealt = 0;
  for (unsigned seed = 42; seed < 46; ++seed) {
    random_cases random(seed);
    auto job = random_layers(random, 64, 8, 24, 20, 3);
    job.pipelines = 3;
    auto const answer = layer_planner{.effort = 150'000}(job);
    dealt += answer.plan.job.layout.form() == stage_layout::shape::custom;
    EXPECT_EQ(lines(check(job, answer.plan)), "");
    EXPECT_EQ(static_cast<double>(makespan(answer.plan.job, answer.plan.schedule)),
              answer.objective);
  }
  EXPECT_GT(dealt, 0);
}

}  // namespace
}  // namespace shunt::tests::layer_planner_test

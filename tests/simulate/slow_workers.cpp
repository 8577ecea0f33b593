#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/problem/measured_costs.hpp"
#include "shunt/simulate/slow_workers.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"

namespace shunt::tests::slow_workers_test {
namespace {

// Deviates of the normal distribution that are the same on every platform.
class jitter {
 public:
  explicit jitter(std::uint64_t seed) : random_(seed) {}
  double operator()(double sigma) {
    double const u = (static_cast<double>(random_() >> 11) + 1) * 0x1p-53,
                 v = static_cast<double>(random_() >> 11) * 0x1p-53;
    return std::exp(sigma * std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v));
  }
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

 private:
  std::mt19937_64 random_;
};

// One iteration in nanoseconds, a tick as 1000: every operation takes its time under `truth`, with
// jitter.
timeline measured(pipeline_job const& truth, pipeline_schedule const& plan, jitter& noise,
                  double sigma) {
  timeline seen;
  job_costs const cost(truth);
  for (rank_id r : ids<rank_id>(plan.order.size()))
    for (operation const& o : plan.order[r]) {
      auto const takes = static_cast<double>(cost.compute(r, o)) * 1000 * noise(sigma);
      seen.events.push_back(
          {.rank = r, .code = opcode::compute, .op = o, .start = 0, .end = std::llround(takes)});
    }
  return seen;
}

// Returns the slow ranks of the first of five iterations that has any.
std::vector<slow_rank> decided(pipeline_job const& job, pipeline_job const& truth,
                               pipeline_schedule const& plan, jitter& noise) {
  slow_workers detector(job);
  std::vector<slow_rank> found;
  for (int iteration = 0; iteration < 5 && found.empty(); ++iteration) {
    detector.add(measured(truth, plan, noise, .1));
    found = detector.slow();
  }
  return found;
}

pipeline_job job_of_lengths() {
  pipeline_job job{.pipelines = 3, .stages = 4, .microbatches = 6};
  job.costs = {10, 10, 10, 30};
  for (int n = 0; n < 18; ++n) job.lengths.push_back(1 + n % 4);
  return job;
}

TEST(slow_workers, twenty_per_cent_are_seen_in_five_iterations_and_no_more_than_that) {
  auto const job = job_of_lengths();
  auto const plan = slipstream{.effort = 10'000}(job).plan;
  int alarms = 0, misses = 0;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    jitter noise(seed);
    alarms += !decided(job, job, plan, noise).empty();
    auto truth = job;
    auto const slow = static_cast<std::int32_t>(noise.below(12));
    truth.costs = slowed(job, job.worker_of(slow), 1.2);
    auto const found = decided(job, truth, plan, noise);
    misses += found.size() != 1 || found[0].rank != slow || found[0].factor < 1.1 ||
              found[0].factor > 1.35;
  }
  EXPECT_LE(alarms, 5);  // of 500
  EXPECT_LE(misses, 5);
}

TEST(slow_workers, without_jitter_one_iteration_is_enough) {
  auto job = job_of_lengths();
  auto const plan = slipstream{.effort = 10'000}(job).plan;
  auto truth = job;
  truth.costs = slowed(job, {1, 2}, 2);
  jitter noise(1);
  slow_workers detector(job);
  EXPECT_TRUE(detector.slow().empty());
  detector.add(measured(truth, plan, noise, 0));
  auto const found = detector.slow();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].rank, job.rank_of({1, 2}));
  EXPECT_NEAR(found[0].factor, 2, 1e-3);
  EXPECT_GE(found[0].confidence, .999);
}

// Seen, then planned around in proportion.
TEST(slow_workers, what_is_seen_is_planned_around) {
  pipeline_job job{.pipelines = 3, .stages = 4, .microbatches = 6, .costs = {100, 100, 100, 300}};
  slipstream const solver{.effort = 200'000};
  auto const plan = solver(job).plan;
  auto truth = job;
  truth.costs = slowed(job, {1, 2}, 2);
  jitter noise(7);
  auto const found = decided(job, truth, plan, noise);
  ASSERT_EQ(found.size(), 1U);
  auto known = job;
  known.costs = slowed(job, job.worker_of(found[0].rank), found[0].factor);
  auto const answer = solver(known);
  EXPECT_LE(period(truth, answer.plan), 2900);
  EXPECT_GE(period(truth, plan), 3800);  // all wait
}

}  // namespace
}  // namespace shunt::tests::slow_workers_test

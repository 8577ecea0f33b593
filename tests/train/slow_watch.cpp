#include "shunt/train/slow_watch.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::slow_watch_test {
namespace {

pipeline_job small_job() {
  return {.pipelines = 3, .stages = 2, .microbatches = 4, .costs = {10, 10, 10, 30}};
}

// All ranks in one process: what they measure, and the verdict that they hear.
class grid {
 public:
  explicit grid(pipeline_job const& job, slow_watch_config const& config = {})
      : job_(job), watch(job, config) {}

  // One iteration in which every operation takes its time, rank r `factor[r]` times as long.
  slow_verdicts run(std::vector<double> const& factor) {
    auto const size = watch.sizes();
    std::vector<std::vector<std::byte>> reports;
    for (rank_id const r : ids<rank_id>(job_.ranks())) {
      for (std::int32_t m = 0; m < 4; ++m)
        for (op_kind const k : {op_kind::forward, op_kind::backward_input, op_kind::step}) {
          double const noise = 1 + .02 * d_.roll(-3, 3);
          watch.measured(r, {.kind = k, .stage = job_.worker_of(r).stage, .microbatch = m},
                         std::llround(10'000 * factor[r.index()] * noise));
        }
      reports.emplace_back(static_cast<std::size_t>(size.report));
      watch.report(r, reports.back());
    }
    std::vector<std::span<std::byte const>> seen(reports.begin(), reports.end());
    watch.judge(next_++, seen);
    std::vector<std::byte> verdict(static_cast<std::size_t>(size.verdict));
    watch.tell(verdict);
    watch.hear(next_, verdict);
    return watch.before(next_ + 1);
  }

 private:
  pipeline_job job_;
  random_cases d_{5};
  std::int64_t next_ = 0;

 public:
  slow_watch watch;
};

TEST(slow_watch, names_a_slow_rank_once_and_again_when_it_is_well) {
  grid g(small_job());
  std::vector<double> const well(6, 1);
  auto slow = well;
  slow[4] = 2;
  for (int n = 0; n < 20; ++n) EXPECT_TRUE(same_factors(g.run(well), slow_verdicts(6)));
  auto const named = g.run(slow);
  EXPECT_NEAR(named[4].factor(), 2, .13);
  EXPECT_EQ(named[4].iterations, 1);
  EXPECT_GE(named[4].confidence, .999);
  for (int n = 0; n < 20; ++n) EXPECT_TRUE(same_factors(g.run(slow), named));
  EXPECT_TRUE(same_factors(g.run(well), slow_verdicts(6)));
}

TEST(slow_watch, what_slows_all_ranks_slows_none_and_a_fast_one_is_not_named) {
  grid g(small_job());
  EXPECT_TRUE(same_factors(g.run(std::vector<double>(6, 3)), slow_verdicts(6)));
  EXPECT_TRUE(same_factors(g.run({1, 1, .5, 1, 1, 1}), slow_verdicts(6)));
}

TEST(slow_watch, a_small_slow_down_takes_more_iterations_and_a_tolerated_one_is_not_named) {
  std::vector<double> slow(6, 1);
  slow[1] = 1.15;
  grid few(small_job(), {.tolerated = 1.1, .confidence = .9999});
  std::int64_t at = 0;
  while (!few.run(slow)[1].slow()) ASSERT_LT(++at, 5);
  EXPECT_GT(at, 0);
  grid none(small_job(), {.tolerated = 1.25});
  for (int n = 0; n < 10; ++n) EXPECT_FALSE(none.run(slow)[1].slow());
}

TEST(slow_watch, verdicts_are_known_by_iteration_and_forgotten) {
  grid g(small_job());
  std::vector<double> slow(6, 1);
  slow[3] = 2;
  g.run(std::vector<double>(6, 1));
  auto const named = g.run(slow);
  EXPECT_TRUE(same_factors(g.watch.before(0), slow_verdicts(6)));
  EXPECT_TRUE(same_factors(g.watch.before(2), slow_verdicts(6)));
  EXPECT_EQ(g.watch.before(3), named);
  EXPECT_EQ(g.watch.before(100), named);
  g.watch.forget();
  EXPECT_EQ(g.watch.before(100), slow_verdicts(6));
  EXPECT_NEAR(g.run(slow)[3].factor(), 2, .13);
}

// A rank that hears late doesn't take back what the judge has decided since.
TEST(slow_watch, an_old_verdict_heard_late_changes_no_new_one) {
  grid g(small_job());
  slow_watch& w = g.watch;
  std::vector<double> slow(6, 1);
  slow[3] = 2;
  g.run(std::vector<double>(6, 1));
  auto const named = g.run(slow);
  std::vector<std::byte> old(static_cast<std::size_t>(w.sizes().verdict));
  slow_verdicts const none(6);
  std::memcpy(old.data(), none.items().data(), old.size());
  w.hear(0, old);
  EXPECT_TRUE(same_factors(g.run(slow), named));
}

TEST(slow_watch, jobs_in_sixteenths_are_exact_and_sixteen_times_as_long) {
  random_cases d(31);
  for (int round = 0; round < 20; ++round) {
    auto job = small_job();
    job.costs = {d.roll(1, 4), d.roll(1, 4), d.roll(0, 4), d.roll(0, 4)};
    job.transfer = round % 2 == 0 ? transfer_times(d.roll(0, 3)) : transfer_times(1, 2, 3);
    auto const all = in_sixteenths(job, slow_verdicts(6));
    for (bool const staggered : {false, true})
      EXPECT_LE(period_bound(all, staggered), 16 * period_bound(job, staggered));
    EXPECT_EQ(slipstream{.effort = 5'000}(all).objective,
              16 * slipstream{.effort = 5'000}(job).objective);
    slow_verdicts v(6);
    v[2].sixteenths = 24;
    auto const slow = in_sixteenths(job, v);
    EXPECT_EQ(slow.costs.forward.of(1, 0, 2), 24 * job.costs.forward[0]);
    EXPECT_EQ(slow.costs.forward.of(1, 1, 2), 16 * job.costs.forward[1]);
    EXPECT_EQ(slow.costs.step[0], 16 * job.costs.step[0]);
    job.dead = {{1, 0}};
    EXPECT_EQ(in_sixteenths(job, v).costs.forward.of(1, 0, 2), 16 * job.costs.forward[0]);
  }
}

TEST(slow_watch, broken_settings_are_named) {
  auto const job = small_job();
  double const nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(thrown_by([&] { slow_watch(job, {.tolerated = .9}); }),
            "tolerated: must be at least 1");
  EXPECT_EQ(thrown_by([&] { slow_watch(job, {.confidence = nan}); }),
            "confidence: must be between 0 and 1");
  EXPECT_EQ(thrown_by([&] { slow_watch(job, {.window = 0}); }), "window: must be at least 1, is 0");
  auto huge = job;
  huge.costs.forward = std::int64_t{1} << 58;
  EXPECT_EQ(thrown_by([&] { static_cast<void>(in_sixteenths(huge, slow_verdicts(6))); }),
            "costs: are 288230376151711744 ticks: slower they add up beyond 61 bits");
}

}  // namespace
}  // namespace shunt::tests::slow_watch_test

#include "shunt/train/watched_work.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/stretched_work.hpp"
#include "support/dense_training.hpp"

namespace shunt::tests::watched_work_test {
namespace {

// Operations that take what the job says, a tick as 200 microseconds.
class timed_work : public dense_work {
 public:
  explicit timed_work(pipeline_training const& t) : dense_work(dense_work_of(t)), costs_(t.job) {}
  void operator()(rank_id r, task const& t) {
    auto const end =
        std::chrono::steady_clock::now() + std::chrono::microseconds(200) * costs_.compute(r, t.op);
    dense_work::operator()(r, t);
    std::this_thread::sleep_until(end);
  }

 private:
  job_costs costs_;
};
using slow_work = watched_work<stretched_work<timed_work>>;
static_assert(pipeline_trainee<slow_work>);
static_assert(watchable<slow_work>);

struct seen {
  std::int64_t iteration;
  slow_verdicts of;
};

// Trains with what is asked for. Returns the changes of verdicts.
template <class Executor>
std::vector<seen> trained(pipeline_training const& t, std::vector<stretch> const& slow,
                          Executor const& executor, std::vector<join> joins = {}) {
  slow_work work(t);
  work.stretch_by(slow);
  pipeline_run run(work, slipstream{.effort = 20'000});
  run.watch({.tolerated = 1.5});
  std::vector<seen> all;
  run.on_slow = [&](slow_verdicts const& v, std::int64_t i) { all.push_back({i, v}); };
  auto const report = run(executor, std::move(joins));
  EXPECT_EQ(report.stopped, "");
  EXPECT_EQ(run.losses(), undisturbed(t).losses);
  return all;
}

TEST(watched_work, slow_ranks_are_planned_around_and_losses_keep_their_bits) {
  auto const t = dense_training(3, 2, 4, 12);
  rank_id const slow = t.job.rank_of({1, 1});
  auto const all = trained(t, {{slow, 4, 2}, {slow, 1, 8}}, inline_executor{});
  ASSERT_GE(all.size(), 2U);
  EXPECT_EQ(all[0].iteration, 5);
  EXPECT_NEAR(all[0].of[slow].factor(), 4, 1);
  EXPECT_GE(all[0].of[slow].confidence, .999);
  EXPECT_TRUE(same_factors(all.back().of, slow_verdicts(6)));
}

}  // namespace
}  // namespace shunt::tests::watched_work_test

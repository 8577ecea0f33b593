#include "shunt/train/training_policy.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "shunt/execute/inline_executor.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/train/pipeline_work.hpp"
#include "shunt/train/policy_run.hpp"
#include "support/dense_model.hpp"

namespace shunt::tests::training_policy_test {
namespace {

/// The least that a policy can be: the last live rank does everything.
struct last_rank {
  static constexpr std::string_view name = "last_rank";
  static constexpr int every = 0;

  [[nodiscard]] solution<arrangement> operator()(situation const& s) const {
    rank_id last = s.start.ranks() - 1;
    for (auto at = s.dead.rbegin(); at != s.dead.rend() && *at == last; ++at) --last;
    worker_ranks const one{std::vector<rank_id>(static_cast<std::size_t>(s.start.stages), last)};
    return {.plan = arranged(s.start, one, {s.start.total_microbatches()})};
  }
  [[nodiscard]] solution<pipeline_schedule> schedule(pipeline_job const& job) const {
    return gpipe{}(job);
  }
};
static_assert(training_policy<last_rank>);
static_assert(!training_policy<slipstream>);

TEST(training_policy, the_least_one_trains) {
  pipeline_training const t{.job = {.pipelines = 2, .stages = 3, .microbatches = 2},
                            .iterations = 4};
  pipeline_work<dense_model> calm(dense_model{.count = 3}, t), work(dense_model{.count = 3}, t);
  pipeline_run run(work, last_rank{});
  EXPECT_EQ(run(inline_executor{.failures = {{0, 1, 3}}}).stopped, "");
  EXPECT_EQ(run.losses(), train_without_failures(calm, inline_executor{}));
  EXPECT_EQ(work.held_by(5), (std::vector<stage_id>{0, 1, 2}));
  EXPECT_EQ(run.changes().at(0).waiting, (std::vector<rank_id>{1, 2, 3, 4}));
  EXPECT_EQ(run.changes().at(0).copies, 2);
}

}  // namespace
}  // namespace shunt::tests::training_policy_test

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>

#include "shunt/check/pipeline_actions.hpp"
#include "shunt/check/program.hpp"
#include "shunt/check/program_transport.hpp"
#include "shunt/lower/detail/pipeline_starts.hpp"
#include "shunt/lower/salvage.hpp"
#include "support/trained_pipeline.hpp"

namespace shunt::tests::salvaged_plans_test {
namespace {

using namespace trained_pipeline;

// Whatever terms survive: what is left of a plan can't deadlock even if every send waits for its
// receive, and touches no byte too early.
TEST(salvaged_plans, what_is_left_of_any_plan_is_sound) {
  std::uint64_t seed = 300;
  std::size_t forwards_alone = 0;
  for (auto const& job : random_jobs_of_all_layouts())
    for (int round = 0; round < 20; ++round) {
      auto plan = plan_by_chance(job, ++seed, false);
      for (auto& list : plan.order)  // steps at the ends, as planners put them
        std::sort(list.begin(), list.end(), [at = list](operation const& a, operation const& b) {
          bool const x = a.kind == op_kind::step, y = b.kind == op_kind::step;
          if (x || y) return x != y ? y : a.stage > b.stage;
          return std::find(at.begin(), at.end(), a) < std::find(at.begin(), at.end(), b);
        });
      std::mt19937_64 engine(seed);
      surviving_gradients kept;
      auto const odds = 1 + engine() % 9;  // of 10: how many terms survive
      for (stage_id s : ids<stage_id>(job.stages)) {
        kept.push_back({job.live_holders(s).back(), s, false, {}});
        for (operation const& o : detail::terms_of(job, s))
          if (engine() % 10 < odds) kept.back().terms.push_back(o);
      }
      for (auto const& list : rest_of(job, plan, kept).order)
        for (operation const& o : list)
          forwards_alone += o.kind == op_kind::forward,
              forwards_alone -= detail::makes_gradient(o.kind);
      for (auto const lanes : {message_lanes::one_per_rank, message_lanes::one_per_peer,
                               message_lanes::one_per_edge}) {
        auto const program = lower_salvageable(job, plan, kept, tensors, lanes);
        for (auto const& broken :
             {check(program), check_rendezvous(program), check_without_tags(program)})
          EXPECT_TRUE(broken.empty())
              << seed << ' ' << to_string(lanes) << ": " << to_string(broken.front());
      }
    }
  EXPECT_GT(forwards_alone, 300U);
}

}  // namespace
}  // namespace shunt::tests::salvaged_plans_test

#include <gtest/gtest.h>

#include <cstdint>
#include <ostream>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/solver.hpp"
#include "shunt/train/moe_model.hpp"
#include "shunt/train/moe_run.hpp"
#include "shunt/train/moe_training.hpp"
#include "shunt/train/moe_work.hpp"
#include "support/scaled_experts.hpp"

namespace shunt::tests::placers_page {
namespace {

// docs/placers.md {
/// Trains a model, a thread a rank, under any placer. Says how each iteration went.
template <shunt::moe_model Model, shunt::expert_placer Placer>
std::vector<float> trained(Model model, shunt::moe_training const& training, Placer place,
                           std::ostream& say) {
  shunt::moe_work work(std::move(model), training);  // adam, unless another one is named
  shunt::moe_run run(work, std::move(place));
  run.on_iteration = [&](std::int64_t t, shunt::moe_record const& r) {
    say << t << ": loss " << r.loss << ", the fullest rank has " << shunt::balance(r)
        << " times the mean rank's tokens, " << r.weights.moved << " bytes were scattered\n";
  };
  run.on_loss = [&](std::span<shunt::rank_id const> lost, std::int64_t t) {
    say << lost.size() << " ranks are lost, iteration " << t << " goes on without them\n";
  };
  run(shunt::thread_executor{});
  return run.parameters();
}

/// A placer of one's own: places in every tenth iteration, and when ranks are lost.
class placed_seldom {
 public:
  shunt::solution<shunt::expert_placement> operator()(shunt::expert_layers const& layers) {
    if (calls_++ % 10 == 0 || layers.slots_per_rank != slots_) {
      placed_ = shunt::solve(layers, shunt::balanced{});
      slots_ = layers.slots_per_rank;
    }
    return placed_;
  }

 private:
  shunt::solution<shunt::expert_placement> placed_{};
  std::vector<std::int32_t> slots_{};
  int calls_ = 0;
};
// }

TEST(placers_page, trains_under_any_placer) {
  auto training = small_moe_training();
  training.iterations = 25;
  std::ostringstream said;
  auto const wanted = trained(scaled_experts{}, training, swift_moe{}, said);
  EXPECT_EQ(trained(scaled_experts{}, training, placed_seldom{}, said), wanted);
  EXPECT_NE(said.str().find("24: loss "), std::string::npos);
}

}  // namespace
}  // namespace shunt::tests::placers_page

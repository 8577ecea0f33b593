#include "shunt/train/interval_placer.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/solve/experts/flexmoe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/train/moe_work.hpp"
#include "support/scaled_experts.hpp"

namespace shunt::tests::interval_placer_test {
namespace {

static_assert(expert_placer<interval_placer<flexmoe>>);

/// Notes the loads of each call, and has no plan for some.
struct noting_placer {
  std::vector<std::int64_t>* asked;
  std::int64_t without = -1;  ///< the load for which there is no plan

  solution<expert_placement> operator()(expert_layers const& p) {
    asked->push_back(p.loads[0]);
    auto answer = uniform{}(p);
    if (p.loads[0] == without) answer.status = status::infeasible;
    return answer;
  }
};

expert_layers layers(std::int64_t load, std::vector<std::int32_t> slots = {1, 1}) {
  return {.experts = 2, .loads = {load, 1}, .slots_per_rank = std::move(slots)};
}

TEST(interval_placer, asks_in_every_kth_call) {
  for (std::int64_t const k : {1, 3, 100}) {
    std::vector<std::int64_t> asked, wanted;
    interval_placer place(noting_placer{&asked}, k);
    for (std::int64_t call = 0; call < 10; ++call) {
      EXPECT_TRUE(place(layers(call)).has_plan());
      if (call % k == 0) wanted.push_back(call);
    }
    EXPECT_EQ(asked, wanted);
  }
}

TEST(interval_placer, asks_when_slots_change_and_after_a_failure) {
  std::vector<std::int64_t> asked;
  interval_placer place(noting_placer{&asked, 4}, 4);
  for (std::int64_t call = 0; call < 7; ++call)
    EXPECT_EQ(place(layers(call, call < 2 ? std::vector<std::int32_t>{1, 1}
                                          : std::vector<std::int32_t>{2, 0}))
                  .has_plan(),
              call != 4);
  EXPECT_EQ(asked, (std::vector<std::int64_t>{0, 2, 4, 5}));
}

TEST(interval_placer, moves_experts_of_a_training_in_these_iterations_only) {
  auto training = small_moe_training();
  training.iterations = 9;
  moe_work work(scaled_experts{}, training);
  moe_run<moe_work<scaled_experts>, interval_placer<flexmoe>> run(
      work, interval_placer(flexmoe{.trigger = 1, .steps = 50}, 4));
  std::int64_t moved = 0;
  run.on_iteration = [&](std::int64_t t, moe_record const& r) {
    for (auto const n : r.received) {
      if ((t + 1) % 4 != 0) {
        EXPECT_EQ(n, 0) << t;
      }
      moved += n;
    }
  };
  run(inline_executor{});
  EXPECT_GT(moved, 0);
}

TEST(interval_placer, refuses_an_interval_below_one) {
  try {
    interval_placer place(uniform{}, 0);
    FAIL();
  } catch (invalid_problem const& e) {
    EXPECT_EQ(std::string(e.what()), "interval: must be at least 1, is 0");
  }
}

}  // namespace
}  // namespace shunt::tests::interval_placer_test

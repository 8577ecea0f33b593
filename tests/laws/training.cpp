// Models that train on every executor of one process: losses and parameters have the bits of a
// plain run, whatever the plan is and whoever is lost. What executors promise is in
// laws/executors.cpp.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/train/bamboo_policy.hpp"
#include "shunt/train/moe_run.hpp"
#include "shunt/train/moe_work.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/policy_run.hpp"
#include "support/dense_training.hpp"
#include "support/executor_makers.hpp"
#include "support/scaled_experts.hpp"

namespace shunt::tests::training_test {
namespace {

using namespace executor_makers;

template <class Maker>
class training_on : public testing::Test {};
TYPED_TEST_SUITE(training_on, every_maker);

TYPED_TEST(training_on, pipelines_have_the_bits_of_a_plain_run) {
  for (bool const validated : {false, true}) {
    auto t = dense_training(2, 3, 3, 5);
    if (validated) t.clip = 0.1;
    auto const expected = undisturbed(t);
    for (bool const stagger : {false, true}) {
      auto work = dense_work_of(t);
      pipeline_run run(work, slipstream{.stagger = stagger});
      run(TypeParam::with());
      auto losses = run.losses();
      EXPECT_EQ((trained_bits{std::move(losses), parameters_of(work)}), expected);
    }
  }
}

TYPED_TEST(training_on, pipelines_survive_a_loss_at_any_instruction) {
  auto const t = dense_training(2, 3, 3, 5);
  auto const expected = undisturbed(t);
  std::size_t lost = 0;
  std::int64_t kept = 0;
  for (std::int32_t at = 0; at < 30; at += 2) {
    auto work = dense_work_of(t);
    pipeline_run run(work);
    if (at % 4 != 0) run.salvage();
    auto const report = run(TypeParam::with({{at % 3, 2, at}}), {{at % 3, 4}});
    auto losses = run.losses();
    EXPECT_EQ((trained_bits{std::move(losses), parameters_of(work)}), expected) << at;
    lost += report.losses.size();
    for (auto const& l : report.losses) kept += l.kept;
  }
  EXPECT_GE(lost, 10U);
  EXPECT_GE(kept, 10);
}

TYPED_TEST(training_on, shadows_go_on_for_what_is_lost_at_any_instruction) {
  auto const t = dense_training(2, 3, 3, 5);
  auto const expected = undisturbed(t);
  std::size_t lost = 0;
  for (std::int32_t at = 0; at < 30; at += 4) {
    auto work = dense_work_of(t);
    pipeline_run run(work, bamboo_policy<>{});
    auto const report = run(TypeParam::with({{at % 6, 2, at}}));
    EXPECT_EQ((trained_bits{run.losses(), parameters_of(work, report.dead)}), expected) << at;
    lost += report.losses.size();
  }
  EXPECT_GE(lost, 5U);
}

template <class Placer, class Executor>
trained_bits trained_experts(Executor const& executor) {
  moe_work work(scaled_experts{}, small_moe_training());
  moe_run<moe_work<scaled_experts>, Placer> run(work);
  trained_bits all;
  run.on_iteration = [&](std::int64_t, moe_record const& r) { all.losses.push_back(r.loss); };
  run(executor);
  all.parameters.push_back(run.parameters());
  return all;
}

TYPED_TEST(training_on, experts_have_the_bits_of_a_plain_run) {
  auto const expected = trained_experts<uniform>(inline_executor{});
  EXPECT_EQ(expected.losses.size(), 6U);
  EXPECT_EQ(trained_experts<swift_moe>(TypeParam::with()), expected);
  for (std::int32_t at = 1; at < 100; at += 14)
    EXPECT_EQ(trained_experts<swift_moe>(TypeParam::with({{at % 5, 2, at}})), expected) << at;
}

}  // namespace
}  // namespace shunt::tests::training_test

#include "shunt/train/moe_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/execute/inline_executor.hpp"
#include "shunt/train/fixed_point.hpp"
#include "shunt/train/moe_run.hpp"
#include "shunt/train/moe_work.hpp"
#include "support/scaled_experts.hpp"

namespace shunt::tests::moe_model_test {
namespace {

struct no_head : scaled_experts {
  void head(head_pass const&) const {}
};
static_assert(moe_model<scaled_experts> && !moe_model<no_head> && !moe_model<int>);

/// The model with parameters of the test's choice.
struct moved_experts : scaled_experts {
  std::size_t at = 0;
  float by = 0;
  bool dense = true;

  using scaled_experts::initialise;
  void initialise(std::span<float> p) const {
    scaled_experts::initialise(p);
    if (dense) p[at] += by;
  }
  void initialise(layer_id l, expert_id e, std::span<float> p) const {
    scaled_experts::initialise(l, e, p);
    if (!dense && l == 1 && e == 2) p[at] += by;
  }
};

/// The loss of the first iteration, and the gradients that its steps were made with.
struct first_iteration {
  double loss = 0;
  std::vector<std::int64_t> dense{}, expert{};  // of expert 2 in layer 1
};
first_iteration run(moved_experts const& model) {
  auto training = small_moe_training();
  training.ranks = 3;
  training.copies = 1;
  moe_work work(model, training);
  moe_run run(work);
  first_iteration all{.loss = run.iterate(inline_executor{}).loss};
  auto const sums = work.template values<std::int64_t>(0, moe_buffers::sums);
  all.dense.assign(sums.begin(), sums.end());
  auto const offsets = shard_offsets(work.shards(), training.ranks);
  for (std::size_t k = 0; k < work.shards().shards[2].size(); ++k) {
    auto const& s = work.shards().shards[2][k];
    auto const part = work.template values<std::int64_t>(s.owner, moe_buffers::shard_gradients(1));
    auto const at = part.begin() + offsets[2][k];
    all.expert.insert(all.expert.end(), at, at + s.size());
  }
  return all;
}

TEST(moe_model, gradients_are_finite_differences_of_the_loss) {
  auto const found = run(moved_experts());
  auto const slope = [](std::size_t i, bool dense) {
    float const step = 5e-4F;
    moved_experts model;
    model.at = i;
    model.dense = dense;
    model.by = step;
    double const above = run(model).loss;
    model.by = -step;
    return (above - run(model).loss) / static_cast<double>(2 * step);
  };
  ASSERT_EQ(found.dense.size(), 42U + 2);  // embedding 9, routers 30, head 3; loss, misfits
  EXPECT_EQ(found.dense.back(), 0);
  for (std::size_t i = 0; i < 42; ++i)
    EXPECT_NEAR(static_cast<double>(fixed_point::mean(found.dense[i], 3)), slope(i, true), 2e-3)
        << i;
  ASSERT_EQ(found.expert.size(), 6U);
  double largest = 0;
  for (std::size_t i = 0; i < 6; ++i) {
    auto const mean = static_cast<double>(fixed_point::mean(found.expert[i], 3 * 9));
    EXPECT_NEAR(mean, slope(i, false), 2e-3) << i;
    largest = std::max(largest, std::abs(mean));
  }
  EXPECT_GT(largest, 1e-3);
}

}  // namespace
}  // namespace shunt::tests::moe_model_test

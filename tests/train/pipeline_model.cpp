#include "shunt/train/pipeline_model.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "support/dense_model.hpp"

namespace shunt::tests::pipeline_model_test {
namespace {

struct without_backward {
  [[nodiscard]] std::int32_t stages() const { return 1; }
  [[nodiscard]] stage_sizes sizes(stage_id) const { return {}; }
  void initialise(stage_id, std::span<float>) const {}
  double forward(forward_pass const&) const { return 0; }
};
static_assert(!pipeline_model<without_backward>);

/// The gradients that a model says against differences of its loss: what any author of a model
/// wants to know first.
TEST(pipeline_model, the_tests_model_has_the_gradients_of_its_loss) {
  dense_model const m{.count = 1};
  auto const sizes = m.sizes(0);
  std::vector<float> p(static_cast<std::size_t>(sizes.parameters)),
      gradient = p, stash(static_cast<std::size_t>(sizes.stash));
  m.initialise(0, p);
  auto const loss = [&] { return m.forward({0, 1, 2, p, {}, {}, stash}); };
  (void)loss();
  m.backward_input({0, 1, 2, p, {}, stash, {}, {}});
  m.backward_weight({0, 1, 2, p, {}, stash, {}, gradient});
  for (std::size_t i = 0; i < p.size(); ++i) {
    float const at = p[i], step = 1e-2F;
    p[i] = at + step;
    double const above = loss();
    p[i] = at - step;
    double const below = loss();
    p[i] = at;
    EXPECT_NEAR(static_cast<double>(gradient[i]), (above - below) / 0.02, 1e-4);
  }
}

}  // namespace
}  // namespace shunt::tests::pipeline_model_test

// The least model of each concept of train/'s pipelines, through everything generic that asks for
// it.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "archetypes.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/drop_policy.hpp"
#include "shunt/train/optimizer.hpp"
#include "shunt/train/pipeline_model.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/pipeline_work.hpp"
#include "shunt/train/policy_run.hpp"
#include "shunt/train/stream_pipeline_model.hpp"
#include "shunt/train/stream_pipeline_work.hpp"
#include "shunt/train/training_policy.hpp"
#include "support/dense_on_streams.hpp"
#include "support/host_streams.hpp"

namespace archetypes {

/// A base of types that can be made by moving, and nothing more.
struct made_by_moving {
  made_by_moving() = default;
  made_by_moving(made_by_moving&&) = default;
  made_by_moving& operator=(made_by_moving&&) = delete;
};

struct least_pipeline_model : made_by_moving {
  [[nodiscard]] convertible<std::int32_t> stages() const { return convertible<std::int32_t>(2); }
  [[nodiscard]] stage_sizes sizes(stage_id) const { return {.parameters = 1, .output = 1}; }
  void initialise(stage_id, std::span<float> p) const { p[0] = 1; }
  [[nodiscard]] convertible<double> forward(forward_pass const& p) const {
    if (!p.output.empty()) p.output[0] = p.parameters[0];
    return convertible<double>(static_cast<double>(p.parameters[0]));
  }
  void backward_input(backward_input_pass const& p) const {
    for (float& g : p.input_gradient) g = 1;
  }
  void backward_weight(backward_weight_pass const& p) const { p.gradient[0] = 0.5F; }
};
static_assert(pipeline_model<least_pipeline_model>);

struct least_optimizer : made_by_moving {
  static constexpr short moments = 0;
  void operator()(std::span<float> p, std::span<float>, std::span<float const> g,
                  std::int64_t) const {
    p[0] -= g[0];
  }
};
static_assert(optimizer<least_optimizer>);

using least_training_device = shunt::tests::least_device;

struct least_stream_pipeline_model : made_by_moving {
  using place = stream_place<least_training_device>;
  [[nodiscard]] convertible<std::int32_t> stages() const { return convertible<std::int32_t>(2); }
  [[nodiscard]] stage_sizes sizes(stage_id) const { return {.parameters = 1, .output = 1}; }
  [[nodiscard]] convertible<std::size_t> scratch_bytes() const {
    return convertible<std::size_t>(8);
  }
  void initialise(stage_id, std::span<float> p) const { p[0] = 1; }
  void forward(place const& at, stream_forward_pass const&, double* loss) const {
    if (loss) at.device.each(at.on, 1, [loss](std::int64_t) { *loss = 3; }, at.condition);
  }
  void backward_input(place const&, stream_backward_input_pass const&) const {}
  void backward_weight(place const& at, stream_backward_weight_pass const& p) const {
    at.device.each(at.on, 1, [p](std::int64_t) { p.gradient[0] = 0.5F; }, at.condition);
  }
};
static_assert(stream_pipeline_model<least_stream_pipeline_model, least_training_device>);

/// Drops what has lost a rank.
struct least_policy : made_by_moving {
  static inline convertible<std::string_view> const name{"least"};
  static inline convertible<std::int64_t> const every{0};
  [[nodiscard]] solution<arrangement> operator()(situation const& s) const {
    return drop_rule{}(s);
  }
  [[nodiscard]] solution<pipeline_schedule> schedule(pipeline_job const& job) const {
    return one_f_one_b{}(job);
  }
};
static_assert(training_policy<least_policy>);

namespace {

pipeline_training two_by_two() {
  return {.job = {.pipelines = 2, .stages = 2, .microbatches = 2}, .iterations = 3};
}

TEST(train, least_models_train) {
  pipeline_work<least_pipeline_model, least_optimizer> work({}, two_by_two(), {});
  pipeline_run run(work);
  EXPECT_EQ(run(inline_executor{.failures = {{1, 1, 4}}}).end, 3);
  EXPECT_EQ(run.losses(), (std::vector<double>{1, 0.5, 0}));
  EXPECT_EQ(work.parameters(0, 0)[0], -0.5F);
}

TEST(train, least_models_train_under_the_least_policy) {
  pipeline_work<least_pipeline_model, least_optimizer> work({}, two_by_two(), {});
  pipeline_run run(work, least_policy{});
  EXPECT_EQ(run(inline_executor{.failures = {{1, 1, 4}}}).end, 3);
  EXPECT_EQ(run.losses(), (std::vector<double>{1, 0.5, 0}));
  EXPECT_EQ(run.changes().size(), 1U);
}

TEST(train, least_models_on_streams_train) {
  least_training_device device(1);
  stream_pipeline_work<least_training_device, least_stream_pipeline_model> work(device, {},
                                                                                two_by_two());
  pipeline_run run(work);
  EXPECT_EQ(run(stream_executor<shunt::tests::host_streams>{.system = &device.streams()}).end, 3);
  EXPECT_EQ(run.losses(), (std::vector<double>{3, 3, 3}));
}

}  // namespace
}  // namespace archetypes

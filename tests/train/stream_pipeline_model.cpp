#include "shunt/train/stream_pipeline_model.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <vector>

#include "support/dense_model.hpp"
#include "support/dense_on_streams.hpp"

namespace shunt::tests::stream_pipeline_model_test {
namespace {

static_assert(stream_pipeline_model<dense_on_streams, least_device>);
static_assert(!stream_pipeline_model<dense_model, least_device>);

TEST(stream_pipeline_model, a_forward_on_a_stream_is_the_hosts) {
  dense_model const host{.count = 1};
  auto const sizes = host.sizes(0);
  std::vector<float> parameters(static_cast<std::size_t>(sizes.parameters)),
      stash(static_cast<std::size_t>(sizes.stash)), expected = stash;
  host.initialise(0, parameters);
  double const loss = host.forward({0, 3, 1, parameters, {}, {}, expected});

  least_device device(1);
  std::int64_t const iteration = 3, no = 0;
  auto const stream = device.streams().make_stream();
  double found = 0;
  dense_on_streams const model{host};
  model.forward({device, stream, &no}, {0, &iteration, 1, parameters, {}, {}, stash}, &found);
  device.settle();
  EXPECT_EQ(found, 0) << "the condition does not hold";
  model.forward({device, stream, nullptr}, {0, &iteration, 1, parameters, {}, {}, stash}, &found);
  device.settle();
  EXPECT_EQ(found, loss);
  EXPECT_EQ(stash, expected);
}

}  // namespace
}  // namespace shunt::tests::stream_pipeline_model_test

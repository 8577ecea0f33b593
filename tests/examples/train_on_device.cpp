// What train_through_failures does with --engine cuda, on a device of the host.
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "../../examples/train_through_failures/on_device.hpp"
#include "support/device_on_host.hpp"

namespace example::tests::train_on_device_test {
namespace {

std::string said(options const& o, int expected_status) {
  shunt::tests::device_on_host device(4);
  std::ostringstream out;
  EXPECT_EQ(train_on_device(o, device, out), expected_status);
  return out.str();
}

options small_run() {
  options o;
  o.training.model = {
      .stages = 4, .context = 3, .embedding = 4, .width = 8, .hidden = 12, .batch = 4};
  o.training.iterations = 8;
  return o;
}

TEST(train_on_device, losses_are_identical_through_failures_and_near_the_hosts) {
  auto o = small_run();
  o.kills = {{{1, 2}, 3}, {{0, 1}, 5}};
  o.joins = {{{1, 2}, 6}};
  for (auto const* const engine : {"cuda", "cuda-graphs"}) {
    o.engine = engine;
    auto const text = said(o, 0);
    for (auto const* part :
         {"worker 1:2 fell silent: iteration 3 is done again", "worker 0:1 fell silent",
          "worker 1:2 joins", "iteration 7 loss ", "\nrecoveries, in milliseconds:\n",
          "parameters identical: all workers of 4 stages",
          "\nidentical: 8 losses\nnear the host's losses: at most ",
          " of a loss away in the first 8 iterations, 0.001 allowed\n"})
      EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
}

TEST(train_on_device, steps_are_validated) {
  auto o = small_run();
  o.training.clip = 1;
  o.training.inject = {{2, 3, 4}};
  o.kills = {{{1, 2}, 3}};
  auto const text = said(o, 0);
  for (auto const* part :
       {"gradients clipped, their norm was",
        "step of iteration 3: left out, a gradient was not finite", "identical: 8 losses"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
}

TEST(train_on_device, losses_too_far_from_the_hosts_are_found) {
  constexpr double tolerance = stream_language_work<shunt::tests::device_on_host>::tolerance;
  auto const near = [&](std::vector<double> const& found) {
    return shunt::largest_difference(found, std::vector<double>{2, 1}).relative <= tolerance;
  };
  EXPECT_TRUE(near({2, 1.0001}));
  EXPECT_FALSE(near({2, 1.01}));
  EXPECT_TRUE(near({2}));
  EXPECT_FALSE(near({2, std::nan("")}));
}

TEST(train_on_device, a_run_that_stops_early_differs) {
  auto o = small_run();
  for (std::int32_t p = 0; p < 3; ++p) o.kills.push_back({{p, 1}, 2});
  auto const text = said(o, 1);
  EXPECT_NE(text.find("stopped: no plan for iteration 2 without ranks 1 5 9: stage 1 has no live "
                      "worker\ndiffer: 2 of 8 iterations were trained\n"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace example::tests::train_on_device_test

#include "shunt/train/stream_moe_work.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/train/moe_run.hpp"
#include "support/scaled_experts_on_streams.hpp"

namespace shunt::tests::stream_moe_work_test {
namespace {

using work_on_streams_of_host = stream_moe_work<least_team_device, scaled_experts_on_streams>;
static_assert(moe_trainee<work_on_streams_of_host> &&
              stream_work<work_on_streams_of_host, host_streams::stream_ref>);

struct trained {
  std::vector<double> losses{};
  std::vector<std::vector<std::int64_t>> loads{}, dropped{};
  std::vector<float> parameters{};
  std::size_t dead = 0;
  bool same_bits(trained const& other) const {
    return losses == other.losses && parameters == other.parameters;
  }
};
template <class Work, class Placer, class Executor>
trained run(Work& work, Placer place, Executor const& executor) {
  moe_run<Work, Placer> run(work, std::move(place));
  trained all;
  run.on_iteration = [&](std::int64_t, moe_record const& r) {
    EXPECT_EQ(r.misfits, 0);
    all.losses.push_back(r.loss);
    all.loads.push_back(r.loads);
    all.dropped.push_back(r.dropped);
  };
  run(executor);
  all.parameters = run.parameters();
  all.dead = run.dead().size();
  return all;
}
template <class Placer, template <class> class Executor = stream_executor>
trained on_streams(moe_training const& training, Placer place, std::uint64_t seed,
                   std::vector<failure_point> failures = {}) {
  least_team_device device(seed);
  work_on_streams_of_host work(device, scaled_experts_on_streams(), training);
  return run(work, std::move(place),
             Executor<host_streams>{.system = &device.streams(), .failures = std::move(failures)});
}

TEST(stream_moe_work, trains_as_the_host_does) {
  for (auto const room : {0, 1, 2}) {
    auto training = small_moe_training();
    if (room == 1) training.capacity = capacity_factor{};
    if (room == 2) training.sources = {.min_capacity = 1, .seed = 9};
    moe_work work(scaled_experts{}, training);
    auto const host = run(work, swift_moe{}, inline_executor{});
    auto const found = on_streams(training, swift_moe{}, 3);
    std::int64_t dropped = 0;
    for (auto const& r : host.dropped) dropped += r[0] + r[1];
    EXPECT_EQ(dropped > 0, room > 0);
    EXPECT_EQ(found.loads, host.loads);
    EXPECT_EQ(found.dropped, host.dropped);
    for (std::size_t t = 0; t < 6; ++t) EXPECT_NEAR(found.losses[t] / host.losses[t], 1, 1e-5);
    ASSERT_EQ(found.parameters.size(), host.parameters.size());
    for (std::size_t i = 0; i < host.parameters.size(); ++i)
      EXPECT_NEAR(found.parameters[i], host.parameters[i], 1e-5F);
  }
}

TEST(stream_moe_work, has_the_same_bits_under_every_placer_and_through_losses) {
  auto const training = small_moe_training();
  auto const wanted = on_streams(training, uniform{}, 1);
  EXPECT_TRUE((on_streams<eplb, graph_executor>(training, {}, 2).same_bits(wanted)));
  std::size_t dead = 0;
  for (std::int32_t at = 0; at < 110; at += 5) {
    auto const found = on_streams(training, swift_moe{}, static_cast<std::uint64_t>(at),
                                  {{at % training.ranks, 2, at}});
    EXPECT_TRUE(found.same_bits(wanted)) << at;
    dead += found.dead;
  }
  EXPECT_GT(dead, 10U);
}

TEST(stream_moe_work, refuses_what_streams_do_not_do) {
  auto const why = [](moe_training const& t) -> std::string {
    try {
      least_team_device device(1);
      work_on_streams_of_host(device, scaled_experts_on_streams(), t);
    } catch (invalid_problem const& e) {
      return e.what();
    }
    return "nothing";
  };
  auto t = small_moe_training();
  EXPECT_EQ(why(t), "nothing");
  t.only = rank_id(1);
  EXPECT_EQ(why(t), "only: ranks on streams are all in one process");
  t = small_moe_training();
  t.collection.type = element::bfloat16;
  EXPECT_EQ(why(t), "collection.type: on streams gradients are int64");
  t = small_moe_training();
  t.slots_per_rank = 0;
  EXPECT_EQ(why(t), "slots_per_rank: must be at least 1, is 0");
}

}  // namespace
}  // namespace shunt::tests::stream_moe_work_test

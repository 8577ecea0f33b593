// What a training enqueues, on a condition and without one.
#include "shunt/cuda/training_kernels.cuh"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "support/device_array.hpp"

namespace {

using shunt::tests::device_array;

class TrainingKernels : public shunt::tests::on_gpu {};

struct count_up {
  std::int64_t* to = nullptr;
  __host__ __device__ void operator()(std::int64_t i) const { to[i] += i; }
};
struct add_threads {
  std::int64_t* to = nullptr;
  [[nodiscard]] constexpr std::int64_t shared_bytes() const { return 0; }
  template <class Team>
  __device__ void operator()(Team const& team, std::int32_t, unsigned char*) const {
    std::int64_t const all = team.sum([](std::int32_t) { return std::int64_t{1}; });
    std::int64_t* const target = to;
    team.each([=](std::int32_t thread) {
      if (thread == 0) *target += all == team.size() ? 1 : 1000;
    });
  }
};

TEST_F(TrainingKernels, RunWhereTheConditionHolds) {
  device_array<std::int64_t> const counts(std::vector<std::int64_t>(3, 0)),
      once(std::vector<std::int64_t>{0}), words(std::vector<std::int64_t>{0, 1});
  for (auto const* word : {static_cast<std::int64_t*>(nullptr), words.data(), words.data() + 1}) {
    shunt::training_kernels::launch(stream(), 3, count_up{counts.data()}, word);
    shunt::training_kernels::launch_team(stream(), add_threads{once.data()}, word);
  }
  wait();
  EXPECT_EQ(counts.values(), (std::vector<std::int64_t>{0, 2, 4}));
  EXPECT_EQ(once.values(), std::vector<std::int64_t>{2});
}

}  // namespace

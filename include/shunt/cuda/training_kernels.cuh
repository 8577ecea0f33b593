#pragma once
#include <cstdint>

#include "shunt/cuda/kernels.cuh"
#include "shunt/cuda/launch.cuh"
#include "shunt/cuda/stream.hpp"
#include "shunt/cuda/training_device.hpp"

namespace shunt {

namespace detail {

/// on_condition of a team.
template <class F>
struct team_on_condition {
  F f{};
  std::int64_t const* condition = nullptr;

  [[nodiscard]] constexpr std::int64_t shared_bytes() const { return f.shared_bytes(); }
  template <class Team>
  __device__ void operator()(Team const& team, std::int32_t layer, unsigned char* shared) const {
    if (condition == nullptr || *condition != 0) f(team, layer, shared);
  }
};

}  // namespace detail

/// What cuda_training_device has nvcc compile.
struct training_kernels : cuda_kernels {
  template <class Items>
  static void launch(cuda_stream_ref on, std::int64_t n, Items const& f,
                     std::int64_t const* condition) {
    run_items(on_condition<Items>{f, condition}, n, on);
  }
  template <class F>
  static void launch_team(cuda_stream_ref on, F const& f, std::int64_t const* condition) {
    run_layers(detail::team_on_condition<F>{f, condition}, 1, on);
  }
};

}  // namespace shunt

#pragma once
#include <cstdint>

#include "../streams/device.hpp"
#include "cuda/cuda_device.hpp"
#include "shunt/cuda/kernels.cuh"
#include "shunt/cuda/launch.cuh"
#include "shunt/cuda/stream.hpp"

namespace example::moe {

struct kernels : shunt::cuda_kernels {
  template <class Items>
  static void launch(shunt::cuda_stream_ref on, std::int64_t n, Items const& f,
                     std::int64_t const* condition) {
    shunt::run_items(on_condition<Items>{f, condition}, n, on);
  }
};

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

/// One GPU as a device of this training.
class cuda_device : public cuda_training_device<kernels> {
 public:
  using cuda_training_device::cuda_training_device;

  template <class F>
  void team(shunt::cuda_stream_ref on, F const& f, std::int64_t const* condition) {
    shunt::run_layers(team_on_condition<F>{f, condition}, 1, on);
  }
};
static_assert(device<cuda_device>);

}  // namespace example::moe

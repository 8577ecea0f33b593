#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/core/id.hpp"
#include "shunt/train/pipeline_model.hpp"
#include "shunt/train/training_device.hpp"

namespace shunt {

/// Passes of a model on streams. All spans are device memory, and the iteration is a device word:
/// one graph serves many iterations.
using stream_forward_pass = basic_forward_pass<std::int64_t const*>;
using stream_backward_input_pass = basic_backward_input_pass<std::int64_t const*>;
using stream_backward_weight_pass = basic_backward_weight_pass<std::int64_t const*>;

/// Where a model's operation is enqueued. It has no effect where the condition's word is 0, but for
/// the scratch, which the operations of a rank use one after the other.
template <training_device Device>
struct stream_place {
  Device& device;
  typename Device::system::stream_ref on;
  std::int64_t const* condition = nullptr;
  std::span<std::byte> scratch{};
};

/// A pipeline_model whose operations are enqueued on a stream of a device. They don't wait and
/// allocate nothing. `forward` writes the loss of the micro-batch to a device word where it isn't
/// null, which it is not at the last stage. The gradient of a backward_weight belongs to the
/// operation alone: it may be written where the condition does not hold, too.
template <class M, class Device>
concept stream_pipeline_model =
    training_device<Device> && std::move_constructible<M> &&
    requires(M const& m, stage_id s, std::span<float> parameters, stream_place<Device> const& place,
             stream_forward_pass const& forward, stream_backward_input_pass const& input,
             stream_backward_weight_pass const& weight, double* loss) {
      { m.stages() } -> std::convertible_to<std::int32_t>;
      { m.sizes(s) } -> std::same_as<stage_sizes>;
      { m.scratch_bytes() } -> std::convertible_to<std::size_t>;  // of a rank
      m.initialise(s, parameters);                                // in host memory
      m.forward(place, forward, loss);
      m.backward_input(place, input);
      m.backward_weight(place, weight);
    };

}  // namespace shunt

#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/core/host_device.hpp"
#include "shunt/core/id.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/train/moe_model.hpp"
#include "shunt/train/training_device.hpp"

namespace shunt {
namespace detail {

struct no_team {
  [[nodiscard]] SHUNT_HD constexpr std::int64_t shared_bytes() const { return 0; }
  template <class Team>
  SHUNT_HD void operator()(Team const&, std::int32_t, unsigned char*) const {}
};

}  // namespace detail

/// A training_device with teams: `d.team(stream, f, condition)` enqueues f(team, 0, shared memory)
/// by one team of threads (device/team.hpp), under the condition of `each`.
template <class D>
concept team_device = training_device<D> && requires(D& d, typename D::system::stream_ref on,
                                                     std::int64_t const* condition) {
  d.team(on, detail::no_team{}, condition);
};

/// Where a model's operation is enqueued. It has no effect where the condition's word is 0, but for
/// the scratch, which the operations of a rank use one after the other.
template <team_device Device>
struct moe_stream_place {
  Device& device;
  typename Device::system::stream_ref on;
  std::int64_t const* condition = nullptr;
  std::span<std::byte> scratch{};

  template <class F>
  void each(std::int64_t n, F const& f) const {
    if (n > 0) device.each(on, n, f, condition);
  }
  template <class F>
  void team(F const& f) const {
    device.team(on, f, condition);
  }
  void copy(std::span<float const> from, std::span<float> to) const {
    auto const bytes = std::as_bytes(from);
    stream_part const part{.from = bytes.data(),
                           .to = std::as_writable_bytes(to).data(),
                           .bytes = static_cast<std::int64_t>(bytes.size())};
    device.streams().move(on, {&part, 1}, condition);
  }
};

/// The tokens of a slot among the rows that travelled, in order. Only the device knows how many
/// there are.
struct slot_rows {
  std::int64_t* start = nullptr;  ///< by micro-batch: the first row
  std::int64_t* end = nullptr;    ///< and the number of tokens up to the end of its rows
  std::int32_t runs = 0;

  [[nodiscard]] SHUNT_HD std::int64_t tokens() const { return end[runs - 1]; }
  /// Returns the row of the slot's i-th token.
  [[nodiscard]] SHUNT_HD std::int64_t operator[](std::int64_t i) const {
    std::int32_t low = 0, high = runs - 1;  // the first run that ends beyond i
    while (low < high) {
      std::int32_t const middle = (low + high) / 2;
      if (end[middle] > i)
        high = middle;
      else
        low = middle + 1;
    }
    return start[low] + i - (low == 0 ? 0 : end[low - 1]);
  }
};

// Passes on streams. All spans are device memory. Those of moe_model that aren't named here are
// the same but for the iteration, which is a device word: one graph serves many iterations.

using stream_embed_pass = basic_embed_pass<std::int64_t const*>;
using stream_route_pass = basic_route_pass<std::int64_t const*>;
using stream_head_pass = basic_head_pass<std::int64_t const*>;
using stream_embed_backward_pass = basic_embed_backward_pass<std::int64_t const*>;

/// The tokens of a slot. Rows of `input` and `output` are those that travelled; `at` says which
/// belong to the slot.
struct stream_expert_pass {
  layer_id layer{};
  expert_id expert{};
  std::span<float const> parameters{};
  slot_rows at{};
  std::int64_t most = 0;  ///< the most tokens that a slot has
  float const* input = nullptr;
  float* output = nullptr;
};

/// Outputs join the activations of a micro-batch.
struct stream_combine_pass {
  layer_id layer{};
  std::span<float const> gate{};
  std::span<std::int64_t const> row{};  ///< of the token's output; -1 where it was dropped
  float const* output = nullptr;        ///< rows that travelled
  std::span<float> hidden{};
};

/// Its backward.
struct stream_combine_backward_pass {
  layer_id layer{};
  std::span<float const> gate{};
  std::span<std::int64_t const> row{};
  float const* output = nullptr;
  std::span<float const> hidden_gradient{};
  std::span<float> gate_gradient{};  ///< to be written, 0 where the token was dropped
  float* output_gradient = nullptr;  ///< rows that travel
};

/// The backward of an expert over the tokens of a slot.
struct stream_expert_backward_pass {
  layer_id layer{};
  expert_id expert{};
  std::span<float const> parameters{};
  slot_rows at{};
  std::int64_t most = 0;
  float const* input = nullptr;
  float const* output_gradient = nullptr;
  float* input_gradient = nullptr;
  std::span<std::int64_t> gradient{};  ///< in units of 2^-40, to be overwritten
  std::int64_t* inexact = nullptr;     ///< to be raised by 1 where the gradient isn't exact
};

/// The backward of a routing.
struct stream_route_backward_pass {
  layer_id layer{};
  std::int64_t const* iteration = nullptr;
  std::int64_t microbatch = 0;
  std::span<float const> dense{};
  std::span<float const> input{}, gate{}, kept{};
  std::span<std::int32_t const> expert{};
  std::span<float const> gate_gradient{};
  std::span<std::int64_t const> row{};
  float const* returned = nullptr;  ///< gradients of inputs, rows that travelled
  std::span<float> hidden_gradient{};
  std::span<float> gradient{};
};

/// A moe_model whose operations are enqueued on a stream of a device. They don't wait and allocate
/// nothing. A gradient of dense parameters may be written where the condition is 0, too.
///
/// `m.scratch_bytes(tokens, most)`: what a rank computes with, for `most` tokens of a slot. `head`
/// writes the sum of losses to a device word.
template <class M, class Device>
concept stream_moe_model =
    team_device<Device> &&
    requires(M const& m, std::int64_t tokens, layer_id layer, expert_id expert,
             std::span<float> parameters, std::span<float const> masters,
             moe_stream_place<Device> const& place, stream_embed_pass const& embed,
             stream_route_pass const& route, stream_expert_pass const& forward,
             stream_combine_pass const& combine, stream_head_pass const& head, double* loss,
             stream_combine_backward_pass const& combine_backward,
             stream_expert_backward_pass const& backward,
             stream_route_backward_pass const& route_backward,
             stream_embed_backward_pass const& embed_backward) {
      { m.sizes(tokens) } -> std::same_as<moe_sizes>;
      { m.scratch_bytes(tokens, tokens) } -> std::convertible_to<std::size_t>;
      m.initialise(parameters);  // these two in host memory
      m.initialise(layer, expert, parameters);
      m.weights(place, masters, parameters);
      m.embed(place, embed);
      m.route(place, route);
      m.expert_forward(place, forward);
      m.combine(place, combine);
      m.head(place, head, loss);
      m.combine_backward(place, combine_backward);
      m.expert_backward(place, backward);
      m.route_backward(place, route_backward);
      m.embed_backward(place, embed_backward);
    };

}  // namespace shunt

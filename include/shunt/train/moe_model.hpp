#pragma once
/// A model with mixture-of-experts layers, as moe_work (train/moe_work.hpp) trains it. The model
/// has the mathematics; the library routes tokens to slots and back, counts, sums and steps.
/// See docs/placers.md, which says what each function is for.
#include <concepts>
#include <cstdint>
#include <span>

#include "shunt/core/id.hpp"

namespace shunt {

/// Sizes of a model with mixture-of-experts layers, for micro-batches of one size.
struct moe_sizes {
  std::int32_t layers = 1;   ///< with experts
  std::int32_t experts = 1;  ///< of a layer
  /// Floats of a token: of its activations between layers, and of what an expert takes and gives.
  std::int64_t width = 1;
  std::int64_t dense = 1;   ///< parameters outside of experts, the same on all ranks
  std::int64_t expert = 1;  ///< parameters of an expert
  /// Floats that a layer keeps of a micro-batch from its routing to the backward of its routing.
  std::int64_t kept = 0;

  bool operator==(moe_sizes const&) const = default;
};

/// What a micro-batch passes through before the first layer. `Iteration` is a number, or a word of
/// a device. Micro-batches count over all ranks.
template <class Iteration>
struct basic_embed_pass {
  Iteration iteration{};
  std::int64_t microbatch = 0;
  std::span<float const> dense{};
  std::span<float> hidden{};  ///< tokens x width, to be written
};

/// Routing of a micro-batch in a layer.
template <class Iteration>
struct basic_route_pass {
  layer_id layer{};
  Iteration iteration{};
  std::int64_t microbatch = 0;
  std::span<float const> dense{};
  std::span<float const> hidden{};   ///< tokens x width
  std::span<float> input{};          ///< tokens x width, to be written: what experts take
  std::span<std::int32_t> expert{};  ///< tokens, to be written: the expert of each
  std::span<float> gate{};           ///< tokens, to be written: what the output is weighed with
  std::span<float> kept{};           ///< of unspecified content
};

/// The tokens that one slot of an expert has got.
struct expert_pass {
  layer_id layer{};
  expert_id expert{};
  std::span<float const> parameters{};
  std::span<float const> input{};  ///< rows x width, at least one row
  std::span<float> output{};       ///< rows x width, to be written
};

/// The output of a token's expert joins the token's activations. A dropped token has no output: its
/// activations pass the layer unchanged.
struct combine_pass {
  layer_id layer{};
  float gate = 0;
  std::span<float const> output{};  ///< width
  std::span<float> hidden{};        ///< width, to be changed
};

/// Head and loss of a micro-batch.
template <class Iteration>
struct basic_head_pass {
  Iteration iteration{};
  std::int64_t microbatch = 0;
  std::span<float const> dense{};
  std::span<float> hidden{};    ///< tokens x width; becomes the gradient of it
  std::span<float> gradient{};  ///< of dense parameters: zeros, to be filled where it is known here
};

/// The backward of a combine.
struct combine_backward_pass {
  layer_id layer{};
  float gate = 0;
  std::span<float const> output{};           ///< width
  std::span<float const> hidden_gradient{};  ///< width
  std::span<float> output_gradient{};        ///< width, to be written
};

/// The backward of an expert over the tokens of one slot.
struct expert_backward_pass {
  layer_id layer{};
  expert_id expert{};
  std::span<float const> parameters{};
  std::span<float const> input{};            ///< rows x width, at least one row
  std::span<float const> output_gradient{};  ///< rows x width
  std::span<float> input_gradient{};         ///< rows x width, to be written
  /// Of the parameters, in units of 2^-40 (fixed_point): zeros, to be filled.
  std::span<std::int64_t> gradient{};
};

/// The backward of a routing.
struct route_backward_pass {
  layer_id layer{};
  std::int64_t iteration = 0, microbatch = 0;
  std::span<float const> dense{};
  std::span<float const> input{}, gate{}, kept{};  ///< as the routing left them
  std::span<std::int32_t const> expert{};
  std::span<float const> gate_gradient{};  ///< tokens; 0 where the token was dropped
  /// tokens x width: what came back from the experts, zeros where the token was dropped. The
  /// content afterwards is of no account.
  std::span<float> input_gradient{};
  std::span<float> hidden_gradient{};  ///< tokens x width, to be added to
  std::span<float> gradient{};         ///< as of head_pass
};

/// The backward of an embed.
template <class Iteration>
struct basic_embed_backward_pass {
  Iteration iteration{};
  std::int64_t microbatch = 0;
  std::span<float const> dense{};
  std::span<float const> hidden_gradient{};  ///< tokens x width
  std::span<float> gradient{};               ///< as of head_pass
};

using embed_pass = basic_embed_pass<std::int64_t>;
using route_pass = basic_route_pass<std::int64_t>;
using head_pass = basic_head_pass<std::int64_t>;
using embed_backward_pass = basic_embed_backward_pass<std::int64_t>;

/// A model with mixture-of-experts layers whose tokens go to one expert each. All gradients are of
/// the sum of the losses of tokens; the library makes the mean.
///
/// `m.sizes(tokens)`: of micro-batches with so many tokens. `m.weights(masters, weights)`: what
/// experts compute with, element by element, on any part of an expert: a copy, or rounded.
/// `m.head` returns the sum of the losses. `m.combine_backward` returns the gradient of the gate.
/// `m.expert_backward` returns whether the gradient is exact.
///
/// The functions are pure: the same arguments give the same bits on every rank. Results are the
/// same bits under every placement where, beside, the rows of an expert_pass don't depend on each
/// other, and the gradient of an expert is a sum of integers over its rows. Spans of whole
/// micro-batches and of rows start at multiples of 64 bytes.
///
/// Threads: calls come from different threads at once.
template <class M>
concept moe_model =
    requires(M const& m, std::int64_t tokens, layer_id layer, expert_id expert,
             std::span<float> parameters, std::span<float const> masters, embed_pass const& embed,
             route_pass const& route, expert_pass const& forward, combine_pass const& combine,
             head_pass const& head, combine_backward_pass const& combine_backward,
             expert_backward_pass const& backward, route_backward_pass const& route_backward,
             embed_backward_pass const& embed_backward) {
      { m.sizes(tokens) } -> std::same_as<moe_sizes>;
      m.initialise(parameters);                 // dense ones, zeros before
      m.initialise(layer, expert, parameters);  // masters of an expert, zeros before
      m.weights(masters, parameters);
      m.embed(embed);
      m.route(route);
      m.expert_forward(forward);
      m.combine(combine);
      { m.head(head) } -> std::convertible_to<double>;
      { m.combine_backward(combine_backward) } -> std::convertible_to<float>;
      { m.expert_backward(backward) } -> std::convertible_to<bool>;
      m.route_backward(route_backward);
      m.embed_backward(embed_backward);
    };

}  // namespace shunt

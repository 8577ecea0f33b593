#pragma once
/// A model that is cut into pipeline stages, as pipeline_work (train/pipeline_work.hpp) trains it.
/// See docs/training-your-model.md.
#include <concepts>
#include <cstdint>
#include <span>

#include "shunt/core/id.hpp"

namespace shunt {

/// Sizes of a stage, in floats.
struct stage_sizes {
  std::int64_t parameters = 0;
  std::int64_t output = 0;  ///< of a micro-batch, sent to the next stage; unused for the last stage
  std::int64_t stash = 0;   ///< kept from a micro-batch's forward to its backward_weight

  bool operator==(stage_sizes const&) const = default;
};

/// A stage's forward of one micro-batch. `Iteration` is a number, or a word of a device.
/// Micro-batches count over all pipelines, as `pipeline_job::number_of` says, on any rank.
template <class Iteration>
struct basic_forward_pass {
  stage_id stage{};
  Iteration iteration{};
  std::int64_t microbatch = 0;
  std::span<float const> parameters{};
  std::span<float const> input{};  ///< output of the previous stage; empty at stage 0
  std::span<float> output{};       ///< empty at the last stage
  std::span<float> stash{};        ///< of unspecified content
};

/// The gradient of a stage's input.
template <class Iteration>
struct basic_backward_input_pass {
  stage_id stage{};
  Iteration iteration{};
  std::int64_t microbatch = 0;
  std::span<float const> parameters{}, input{};
  std::span<float> stash{};                  ///< as the forward left it
  std::span<float const> output_gradient{};  ///< empty at the last stage
  std::span<float> input_gradient{};         ///< empty at stage 0
};

/// The gradient of a stage's parameters. It comes after the backward_input of its micro-batch, at
/// once or later.
template <class Iteration>
struct basic_backward_weight_pass {
  stage_id stage{};
  Iteration iteration{};
  std::int64_t microbatch = 0;
  std::span<float const> parameters{}, input{};
  std::span<float const> stash{};            ///< as backward_input left it
  std::span<float const> output_gradient{};  ///< empty at the last stage
  std::span<float> gradient{};               ///< as many as parameters; to be overwritten
};

using forward_pass = basic_forward_pass<std::int64_t>;
using backward_input_pass = basic_backward_input_pass<std::int64_t>;
using backward_weight_pass = basic_backward_weight_pass<std::int64_t>;

/// A pipeline-parallel model. `m.forward` returns the loss of the micro-batch; it counts at the
/// last stage only. The loss of an iteration is the mean over its micro-batches, and so is the
/// gradient that the optimizer gets.
///
/// The functions are pure: the same arguments give the same bits on every rank. Results are then
/// the same under every plan. All spans start at multiples of 64 bytes.
///
/// Threads: calls come from different threads at once.
template <class M>
concept pipeline_model =
    std::move_constructible<M> &&
    requires(M const& m, stage_id s, std::span<float> parameters, forward_pass const& forward,
             backward_input_pass const& input, backward_weight_pass const& weight) {
      { m.stages() } -> std::convertible_to<std::int32_t>;
      { m.sizes(s) } -> std::same_as<stage_sizes>;
      m.initialise(s, parameters);  // parameters are zeros
      { m.forward(forward) } -> std::convertible_to<double>;
      m.backward_input(input);
      m.backward_weight(weight);
    };

}  // namespace shunt

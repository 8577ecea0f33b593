#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_template.hpp"
#include "shunt/plan/reconfiguration.hpp"
#include "shunt/problem/pipeline_losses.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Moves the state of layers from the pipelines before a loss of ranks to those of a
/// reconfiguration. Every live rank has two persistent buffers, the old and the new state: its
/// layers one after the other, ascending. Lost ranks have an empty list.
///
/// Each rank gets all sends, all receives (one batch), then copies of the layers that it had.
/// Messages of a pair of ranks follow each other in the order of layers. So no rank waits for a
/// message behind one that it has not sent.
///
/// Throws invalid_problem where the losses are broken, a length has no template, a layer has no
/// size or a negative one, or a buffer exceeds 63 bits.
/// Throws invalid_program where the reconfiguration copies a layer from a rank that did not hold
/// it, or to one that does not hold it now, or leaves out a layer that a rank needs.
/// Complexity: O(layers x pipelines x log) instructions.
struct layer_copies {
  std::int32_t channel = 0;  ///< of all messages
  std::int32_t batch = 0;    ///< of all messages

  /// `bytes` is the state of each layer.
  void operator()(program_builder& b, pipeline_losses const& losses, template_set const& templates,
                  reconfiguration const& plan, std::span<byte_count const> bytes, buffer_id from,
                  buffer_id to) const;
};

/// A layer's place in a rank's buffer.
struct placed_layer {
  layer_id layer{};
  byte_count offset = 0;

  bool operator==(placed_layer const&) const = default;
};

/// Returns the layers of each rank 0 .. ranks-1 of these pipelines, ascending.
/// Throws invalid_problem where a length has no template or a layer no size.
[[nodiscard]] std::vector<std::vector<placed_layer>> placed_layers(
    std::vector<std::vector<rank_id>> const& pipelines, template_set const& templates,
    std::span<byte_count const> bytes, std::int32_t ranks);

/// Returns the copies as a program: buffer 0 is the old state, buffer 1 the new one.
/// Throws as layer_copies does.
[[nodiscard]] program lower(pipeline_losses const& losses, template_set const& templates,
                            reconfiguration const& plan, std::span<byte_count const> bytes,
                            layer_copies how = {});

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/layer_copies.ipp"
#endif

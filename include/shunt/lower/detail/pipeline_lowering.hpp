#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/lower/detail/buffer_sets.hpp"
#include "shunt/lower/detail/instruction_waits.hpp"
#include "shunt/lower/detail/pipeline_starts.hpp"
#include "shunt/lower/detail/reductions.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/plan/pipeline_actions.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/plan/redundancy.hpp"
#include "shunt/plan/surviving_gradients.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// The walk over a schedule's lists, see `lower`. It gives micro-batches their buffer sets and
/// emits messages and computes.
class pipeline_lowering {
 public:
  using redundant_forwards = indexed<rank_id, std::vector<redundant_operation>>;

  /// `kept`: the initial sums, where gradients are reduced out of place; otherwise null. `shadows`:
  /// by rank, stages that it steps besides its own, or null. `redundant`: forwards of these that it
  /// computes, or null.
  SHUNT_CONSTEXPR pipeline_lowering(pipeline_job const& job, pipeline_schedule const& schedule,
                                    pipeline_tensors const& tensors, message_layout const& layout,
                                    surviving_gradients const* kept = nullptr,
                                    held_stages const* shadows = nullptr,
                                    redundant_forwards const* redundant = nullptr);

  [[nodiscard]] SHUNT_CONSTEXPR program lowered() &&;

 private:
  static constexpr std::int32_t activations = 0, gradients = 1;  // the channels
  static constexpr std::int32_t none = -1;

  SHUNT_CONSTEXPR void lower_list(rank_id r);
  SHUNT_CONSTEXPR void declare_stages(rank_id r, std::vector<stage_id> const& shadowed);

  [[nodiscard]] SHUNT_CONSTEXPR held_stage& held(stage_id s);
  [[nodiscard]] SHUNT_CONSTEXPR buffer_set& set_of(std::size_t cell);

  SHUNT_CONSTEXPR void receive(rank_id r, pipeline_action const& a);

  SHUNT_CONSTEXPR void send(rank_id r, pipeline_action const& a);

  /// Computes the redundant forwards that stand before operation `index` of the list.
  SHUNT_CONSTEXPR void repeat_forwards(rank_id r, std::span<redundant_operation const>& next,
                                       std::int32_t index);
  SHUNT_CONSTEXPR void repeat_forward(rank_id r, operation const& o);

  /// Returns the instructions on other lanes that an operation waits for.
  /// Requires that its cell has a buffer set.
  [[nodiscard]] SHUNT_CONSTEXPR instruction_waits inputs_of(operation const& o);

  SHUNT_CONSTEXPR void compute_pair(rank_id r, operation const& first, operation const& second);

  SHUNT_CONSTEXPR std::int32_t compute(rank_id r, operation const& o, std::uint8_t lane,
                                       instruction_waits const& after);

  /// Before a forward that receives no message: takes its buffer set, and copies its input where
  /// its own rank made it.
  SHUNT_CONSTEXPR void hand_over_input(rank_id r, operation const& o);
  /// Whether the previous stage needs the gradient of an operation.
  [[nodiscard]] SHUNT_CONSTEXPR bool gradient_is_needed(operation const& o) const;
  /// Copies a gradient to the previous stage on the same rank, before its set is used again.
  SHUNT_CONSTEXPR void hand_over_gradient(rank_id r, operation const& o);
  SHUNT_CONSTEXPR std::int32_t hand_over(rank_id r, region const& from, region const& to);

  /// Counts an operation of a cell as placed. Its set is free after the last one.
  SHUNT_CONSTEXPR void count_placed(std::size_t cell);
  /// Returns a set of buffers for a micro-batch at a stage.
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t add_set(rank_id r, ticks forward, ticks gradient);
  /// Gives a micro-batch at a stage a set of buffers.
  SHUNT_CONSTEXPR void take_set(rank_id r, std::size_t cell);

  pipeline_job const& job_;
  pipeline_schedule const& schedule_;
  pipeline_tensors const& tensors_;
  held_stages const* shadows_;
  redundant_forwards const* redundant_;
  program_builder builder_;
  pipeline_cells cell_;
  pipeline_starts starts_;
  gradient_reductions reductions_;
  pipeline_actions actions_{};
  std::vector<std::int32_t> set_of_{};  // by cell: the set of buffers at its rank
  std::vector<rank_id> host_{};         // by cell: the rank that computes it
  std::vector<std::int8_t> to_come_{};  // by cell: operations not yet in a list
  // of the rank being lowered
  std::vector<held_stage> held_{};
  buffer_sets sets_;
  std::array<byte_count, 3> largest_{};  // sizes of inputs, outputs, stashes
  compute_tail tail_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/lower/detail/pipeline_lowering.ipp"
#endif

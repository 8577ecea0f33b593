#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/plan/reconfiguration.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Moves the state of stages between two iterations to the ranks that hold them from then on. A
/// rank's old states stay as they are, in pipeline_buffers::state, until the caller puts the new
/// ones in their place. So the program may run again if a rank is lost in it. A rank whose stages
/// stay the same gets no copy.
struct stage_copies {
  std::int32_t channel = 0;  ///< of all messages
  std::int32_t batch = 0;    ///< of all messages

  /// Returns the buffer of a rank that gets its c-th new stage. `held`: number of its old stages.
  [[nodiscard]] static constexpr buffer_id arriving(std::int32_t c, std::int32_t held) {
    return 4 * held + c;
  }

  /// `before`: the stages of the ranks whose states may be used; lost ranks have none. `copies`
  /// name stages as layers.
  /// Throws invalid_problem where the tables have other numbers of ranks, or a stage has no size.
  /// Throws invalid_program where a rank sends a stage that it doesn't hold, receives one that it
  /// is not to hold, or lacks one that it is.
  [[nodiscard]] program operator()(held_stages const& before, held_stages const& after,
                                   std::span<layer_copy const> copies,
                                   per_stage const& state) const;
};

/// Returns the copies that a change of holders needs: each stage to the ranks that hold it after
/// but not before, from the lowest old holder on the receiver's node if there is one, else from the
/// lowest. A stage without an old holder has none. Ordered by stage, then by source.
/// `ranks_per_node`: consecutive ranks that share a node; 0: each its own.
/// Complexity: O(stages x ranks log ranks).
[[nodiscard]] std::vector<layer_copy> copies_between(held_stages const& before,
                                                     held_stages const& after,
                                                     std::int32_t ranks_per_node = 0);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/stage_copies.ipp"
#endif

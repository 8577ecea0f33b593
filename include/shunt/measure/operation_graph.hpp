#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Returns the ticks that an operation takes on a rank that holds its stage; a fused backward takes
/// the sum of its two parts.
[[nodiscard]] SHUNT_CONSTEXPR ticks cost_of(pipeline_job const& job, operation const& o, rank_id r);
/// As above, on the rank of the operation's own pipeline.
[[nodiscard]] SHUNT_CONSTEXPR ticks cost_of(pipeline_job const& job, operation const& o);

/// Returns the ticks that an overlapped pair takes on a rank.
[[nodiscard]] SHUNT_CONSTEXPR ticks cost_of(pipeline_job const& job, operation const& a,
                                            operation const& b, rank_id r);
/// As above, on the rank of the first operation's own pipeline.
[[nodiscard]] SHUNT_CONSTEXPR ticks cost_of(pipeline_job const& job, operation const& a,
                                            operation const& b);

/// The operations of a schedule in an executable order: each after its predecessor in the rank's
/// list and after the operation of the neighbouring stage that produces its input; a step after all
/// operations of its stage (of all stages, if the step is not staggered). An overlapped pair is one
/// node. The order forward, backward, backward_weight of one micro-batch on one rank is assumed.
struct operation_graph {
  static constexpr std::int32_t none = -1;

  struct node {
    rank_id rank{};
    stage_id stage{};              ///< Of the operation; of a pair, of the first.
    std::int32_t index = 0;        ///< In the rank's list; of a pair, the first.
    std::int32_t before = none;    ///< The previous node in the list.
    std::int32_t producer = none;  ///< The node that produces the input.
    /// In a pair: the node that produces the input of the second operation.
    std::int32_t second_producer = none;
    bool pair = false;
    bool is_step = false;
    ticks delay = 0;  ///< From the producer's end to the arrival of its output, in ticks.
    ticks second_delay = 0;
    ticks duration = 0;
  };
  std::vector<node> nodes{};
  indexed<rank_id, std::int32_t> first{}, last{};  ///< The first and last node of each rank.
  std::size_t operations = 0;                      ///< In all lists.
  /// Fewer than `operations` if the orders of the ranks wait for each other: the rest never starts.
  std::size_t reached = 0;

  /// Returns whether every operation can start.
  [[nodiscard]] constexpr bool executable() const { return reached == operations; }
};

/// Returns the graph of a schedule.
/// Requires one list per rank and only operations of the job.
/// Complexity: linear in the number of operations.
[[nodiscard]] SHUNT_CONSTEXPR operation_graph graph_of(pipeline_job const& job,
                                                       pipeline_schedule const& schedule);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/operation_graph.ipp"
#endif

#pragma once
/// How training goes on without lost workers.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/text.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/plan/reconfiguration.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// What changes after a loss, from the least change on.
enum class loss_move : std::uint8_t {
  reroute,      ///< live peers take the micro-batches of dead workers; no state moves
  normalize,    ///< besides, ranks change their stages as wholes (normalize_failures)
  take_spares,  ///< besides, spares take the places of dead ranks
  drop,         ///< pipelines with a dead rank stop, the others share the micro-batches
  repartition,  ///< live ranks form pipelines of other lengths (Oobleck), backwards split
  joint,        ///< other stages, and several ranks at one stage of a pipeline share its work
};
inline constexpr std::size_t loss_moves = 6;

[[nodiscard]] constexpr std::string_view to_string(loss_move m) {
  switch (m) {
    case loss_move::reroute: return "reroute";
    case loss_move::normalize: return "normalize";
    case loss_move::take_spares: return "take_spares";
    case loss_move::drop: return "drop";
    case loss_move::repartition: return "repartition";
    case loss_move::joint: return "joint";
  }
  return "unknown";
}

/// The best plan of a move, and what it costs.
struct priced_move {
  loss_move what{};
  ticks period = 0;      ///< of its plan, in the steady state; 0: it has none
  byte_count moved = 0;  ///< bytes of states that ranks receive
  ticks switching = 0;   ///< until the plan runs
  /// Ticks of an iteration, on the mean of the time until the next failure:
  /// period x until_next / (until_next - switching).
  double price = 0;
  text reason{};  ///< why it has no plan

  [[nodiscard]] constexpr bool has_plan() const { return period > 0; }
  constexpr bool operator==(priced_move const&) const = default;
};

/// The plan from which training goes on. Rank i of its job, whose ranks are all alive, is rank
/// `members[i]` of the job that lost workers. Other live ranks wait.
struct loss_plan {
  loss_move move{};
  pipeline_job job{};
  std::vector<rank_id> members{};
  pipeline_schedule schedule{};
  std::vector<layer_copy> copies{};  ///< of stages, between ranks of the job that lost workers
  std::vector<priced_move> moves{};  ///< all that were tried, in order

  bool operator==(loss_plan const&) const = default;
};

}  // namespace shunt

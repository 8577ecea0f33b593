#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/measure/exact_split.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/measure/spilled_replicas.hpp"
#include "shunt/measure/symi_costs.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/load_series.hpp"
#include "shunt/problem/routed_tokens.hpp"

namespace shunt {

/// How a series of loads is replayed.
struct replay_options {
  std::vector<std::int32_t> slots_per_rank{};
  std::int32_t ranks_per_node = 0;  ///< As in expert_layers.
  std::int32_t groups = 0;          ///< As in expert_layers.
  /// Windows between two re-placements; 0: one placement, before the first step.
  std::int32_t every = 1;
  std::int32_t history = 0;  ///< Most earlier windows that the policy sees.
  /// The window after which the first placement is made; earlier ones are history alone.
  std::int32_t first = 0;
  /// For drops; an expert with r slots takes r slot capacities.
  capacity_factor capacity{};
};

/// Result of a placement policy on a series. Window w is the last that the policy knew, w+1 the
/// window that followed. Means are over steps and layers.
struct replay_result {
  std::int32_t steps = 0;         ///< Windows that were placed for.
  std::int32_t replacements = 0;  ///< Calls of the policy, including the first.
  /// max/mean load on window w of the placement made after it, mean.
  double fitted = 0;
  /// max/mean load on window w+1 of the same placement, mean.
  double next_window = 0;
  double worst_next = 0;  ///< The largest of these.
  /// The mean next_window under the best split of whole tokens over replicas (exact_split_load).
  double exact_next = 0;
  /// Share of the tokens of windows w+1 beyond the capacity of their expert's slots.
  double drop_rate = 0;
  /// The same if the slots of a rank share their capacity: tokens beyond a rank's capacity.
  double rank_drop_rate = 0;
  /// Experts that ranks newly received, per layer and re-placement after the first.
  double moved = 0;
  double moved_per_step = 0;  ///< The same per layer and step.
  /// Replicas away from their group's node (spilled_replicas), per layer and step.
  double spilled = 0;
  double copies = 0;  ///< Distinct (rank, expert) pairs beyond one per expert, per layer and step.
  /// Experts that the busiest rank received, per layer and step: the critical path of a migration.
  double most_received = 0;
};

/// Replays a series: after window w the policy places experts for w+1, from the loads that
/// `predict` expects and the placement in force. `policy` maps expert_layers to
/// solution<expert_placement>; `predict` maps all loads so far and the number of loads per window
/// to the loads of the next window. The first placement moves nothing.
/// drop_rate models slots with a buffer each (SYMI): an expert with r slots takes r slot
/// capacities, however empty its ranks are, so replicas in proportion to loads drop least.
/// rank_drop_rate models slots of a rank that share a buffer (grouped matrix products): a rank
/// drops what exceeds its slots x the capacity, so balanced ranks drop least.
/// Returns the means over all steps.
/// Throws what validate, `policy` and `predict` throw; invalid_problem("loads") if no window
/// follows `first`; invalid_problem ("every", "history" or "first") if that option is below 0;
/// invalid_problem("policy") with window, status and reason if the policy finds no plan.
template <class Policy, class Predictor>
[[nodiscard]] replay_result replay(load_series const& series, Policy const& policy,
                                   Predictor const& predict, replay_options const& options) {
  validate(series);
  if (options.first < 0)
    throw invalid_problem("first", "must be at least 0, is " + std::to_string(options.first));
  if (series.windows() < 2)
    throw invalid_problem("loads", "has one window; a replay needs the next one as well");
  if (options.first > series.windows() - 2)
    throw invalid_problem("loads", "has " + std::to_string(series.windows()) +
                                       " windows and none after window " +
                                       std::to_string(options.first) + ", the first that counts");
  if (options.every < 0)
    throw invalid_problem("every", "must be at least 0, is " + std::to_string(options.every));
  if (options.history < 0)
    throw invalid_problem("history", "must be at least 0, is " + std::to_string(options.history));
  expert_layers problem{.layers = series.layers,
                        .experts = series.experts,
                        .slots_per_rank = options.slots_per_rank,
                        .ranks_per_node = options.ranks_per_node,
                        .groups = options.groups};
  replay_result result{.steps = series.windows() - 1 - options.first};
  auto const live = static_cast<double>(std::count_if(
      options.slots_per_rank.begin(), options.slots_per_rank.end(), [](auto s) { return s > 0; }));
  expert_placement placement;
  double moved = 0, most = 0, dropped = 0, beyond = 0, tokens = 0;
  for (std::int32_t w = options.first; w + 1 < series.windows(); ++w) {
    if (w == options.first || (options.every > 0 && (w - options.first) % options.every == 0)) {
      auto const known = static_cast<std::size_t>(w + 1) * series.cells();
      problem.loads = predict(std::span(series.loads).first(known), series.cells());
      auto const seen = static_cast<std::size_t>(std::min(options.history, w)) * series.cells();
      auto const earlier = std::span(series.loads).subspan(known - series.cells() - seen, seen);
      problem.history.assign(earlier.begin(), earlier.end());
      auto answer = policy(problem);
      if (!answer.has_plan())
        throw invalid_problem("policy", std::string(to_string(answer.status)) + " after window " +
                                            std::to_string(w) + ", " + std::string(answer.reason));
      if (w > options.first)
        for (layer_id l : ids<layer_id>(series.layers)) {
          std::int32_t largest = 0;
          for (auto const n : received_experts(placement, answer.plan, l)) {
            moved += n;
            largest = std::max(largest, n);
          }
          most += largest;
        }
      placement = std::move(answer.plan);
      problem.previous = placement.expert_of;
      ++result.replacements;
    }
    for (layer_id l : ids<layer_id>(series.layers)) {
      result.spilled += spilled_replicas(problem, placement, l);
      result.copies += hosted_pairs(placement, l) - series.experts;
      result.fitted += max_over_mean(series.loads_of(w, l), placement, l);
      auto const next = series.loads_of(w + 1, l);
      double const balance = max_over_mean(next, placement, l);
      result.next_window += balance;
      result.worst_next = std::max(result.worst_next, balance);
      std::int64_t sum = 0;
      for (auto const load : next) sum += load;
      tokens += static_cast<double>(sum);
      result.exact_next += sum == 0 ? 1
                                    : static_cast<double>(exact_split_load(next, placement, l)) *
                                          live / static_cast<double>(sum);
      auto const capacity = slot_capacity(sum, placement.slots(), options.capacity);
      dropped += static_cast<double>(drops_under_capacity(next, placement, l, capacity));
      auto const fill = rank_loads(next, placement, l);
      for (rank_id r : ids<rank_id>(placement.ranks())) {
        double const room = static_cast<double>(capacity) * options.slots_per_rank[r.index()];
        beyond += std::max(0.0, fill[r] - room);
      }
    }
  }
  double const all = static_cast<double>(result.steps) * series.layers;
  result.fitted /= all;
  result.next_window /= all;
  result.exact_next /= all;
  result.drop_rate = tokens > 0 ? dropped / tokens : 0;
  result.rank_drop_rate = tokens > 0 ? beyond / tokens : 0;
  result.moved = result.replacements > 1 ? moved / (result.replacements - 1) / series.layers : 0;
  result.moved_per_step = moved / all;
  result.spilled /= all;
  result.copies /= all;
  result.most_received = most / all;
  return result;
}

/// Replays a series with the latest window as the prediction of the next.
/// Throws as above.
template <class Policy>
[[nodiscard]] replay_result replay(load_series const& series, Policy const& policy,
                                   replay_options const& options) {
  auto const last = [](std::span<std::int64_t const> history, std::size_t cells) {
    auto const window = history.last(cells);
    return std::vector<std::int64_t>(window.begin(), window.end());
  };
  return replay(series, policy, last, options);
}

/// What a policy moves between ranks per layer and step: gradients to the optimizer and weights
/// back, which every slot needs under any placement, and the additional bytes of re-placement.
/// Reference: SYMI, arXiv 2504.19925.
struct replacement_traffic {
  double phase_bytes = 0;  ///< D_G + D_W = s N (G + W)
  /// Moved experts x (W + O) if state is tied to the instances, otherwise 0.
  double moved_bytes = 0;
  double phase_seconds = 0;  ///< T_G + T_W of a rank.
  double moved_seconds = 0;  ///< What the rank that receives most waits for, / BW_net.

  /// Returns all bytes.
  [[nodiscard]] constexpr double bytes() const { return phase_bytes + moved_bytes; }
  /// Returns all seconds.
  [[nodiscard]] constexpr double seconds() const { return phase_seconds + moved_seconds; }
  bool operator==(replacement_traffic const&) const = default;
};

/// Where optimizer state lives. decoupled: sharded over all ranks for good (SwiftMoE). tied: with
/// the instances, so that an expert brings weights and state to a new rank (static replication,
/// FlexMoE, Lazarus, and planners of placements alone). at_home: at each expert's home, which sends
/// weights to the other hosts and receives gradients in every iteration (FasterMoE).
enum class optimizer_place : std::uint8_t { decoupled, tied, at_home };

/// Returns the enumerator's name, "unknown" for other values.
[[nodiscard]] SHUNT_CONSTEXPR std::string_view to_string(optimizer_place where);

/// Returns the bytes and seconds of a replayed policy under SYMI's cost model. Tied:
/// `most_received` is the critical path, and static_time, made for equal replica counts, is the
/// time of the phases. At home: copies x (G + W) bytes pass between ranks, evenly over them, as
/// broadcast trees send them.
[[nodiscard]] SHUNT_CONSTEXPR replacement_traffic traffic(replay_result const& run,
                                                          expert_traffic const& model,
                                                          optimizer_place where);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/replay.ipp"
#endif

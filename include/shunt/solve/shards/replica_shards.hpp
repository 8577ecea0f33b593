#pragma once
/// Optimizer state tied to the replicas: an expert's state is cut over the ranks that host it,
/// evenly, and moves when they change. ZeRO-1 within the replicas of an expert, as DeepSpeed-MoE
/// keeps it (Rajbhandari et al., ICML 2022; ZeRO, SC 2020): the baseline of SwiftMoE's static
/// shards.
///
/// Objective: the most bytes of optimizer state on a rank; bound: an even cut of all elements. A
/// popular expert spreads thin and a rare one lies whole on one rank, so that ranks hold unequal
/// amounts. O(slots + shards). Always feasible. Throws invalid_problem where the state is broken or
/// the placement speaks of other ranks or experts.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/plan/expert_hosts.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/solve/shards/even_cut.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

struct replica_shards {
  static constexpr std::string_view name = "replica_shards";

  expert_placement placement{};  ///< every expert has a slot
  layer_id layer{0};

  [[nodiscard]] constexpr solution<shard_map> operator()(optimizer_state const& problem) const {
    validate(problem);
    auto const same = [](char const* field, std::int64_t is, std::int64_t wanted) {
      if (is != wanted)
        throw invalid_problem(field,
                              "must be " + std::to_string(wanted) + ", is " + std::to_string(is));
    };
    same("placement.ranks", placement.ranks(), problem.ranks);
    same("placement.experts", placement.experts, problem.experts);
    if (layer < 0 || layer.value() >= placement.layers)
      same("layer", layer.value(), placement.layers - 1);
    solution<shard_map> answer;
    answer.plan.elements = problem.elements;
    answer.plan.shards.resize(static_cast<std::size_t>(problem.experts));
    auto const hosts = hosts_of(placement, layer);
    for (expert_id e : ids<expert_id>(problem.experts)) {
      if (hosts[e].empty())
        throw invalid_problem("placement", "expert " + std::to_string(e.value()) + " has no slot");
      std::vector<rank_id> owners;
      for (expert_host const& h : hosts[e]) owners.push_back(h.rank);
      answer.plan.shards[e] = even_cut(problem.elements, owners);
    }
    rate_by_fullest_rank(problem, answer);
    return answer;
  }
};
static_assert(solver_for<replica_shards, optimizer_state>);

}  // namespace shunt

#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/core/text.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/expert_hosts.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

namespace detail {

/// The elements of an expert cut into one shard an owner, in their order, sizes within one element
/// of each other. Where they don't divide, the owners from `turn` on, cyclically, get one more.
/// Owners without an element get no shard. `owners` is not empty.
[[nodiscard]] constexpr std::vector<shard> even_cut(std::int64_t elements,
                                                    std::vector<rank_id> const& owners,
                                                    std::int64_t turn = 0) {
  auto const parts = static_cast<std::int64_t>(owners.size());
  std::vector<shard> shards;
  std::int64_t begin = 0;
  for (std::int64_t k = 0; k < parts; ++k) {
    std::int64_t const size = elements / parts + ((k - turn + parts) % parts < elements % parts);
    if (size > 0)
      shards.push_back(
          {.owner = owners[static_cast<std::size_t>(k)], .begin = begin, .end = begin + size});
    begin += size;
  }
  return shards;
}

/// Sets objective, bound and status of an answer that has a plan: the most bytes of optimizer state
/// on a rank, owned or mirrored, and an even share of all there are.
constexpr void rate_by_fullest_rank(optimizer_state const& problem, solution<shard_map>& answer) {
  indexed<rank_id, std::int64_t> held(static_cast<std::size_t>(problem.ranks), 0);
  std::int64_t all = 0;
  for (auto const& shards : answer.plan.shards)
    for (shard const& s : shards) {
      held[s.owner] += s.size();
      for (rank_id const r : s.mirrors) held[r] += s.size();
      all += s.size() * static_cast<std::int64_t>(1 + s.mirrors.size());
    }
  std::int64_t const most = *std::max_element(held.begin(), held.end()),
                     least = ceil_divide<std::int64_t>(all, problem.ranks);
  answer.objective = static_cast<double>(most * problem.state_bytes);
  answer.lower_bound = static_cast<double>(least * problem.state_bytes);
  answer.status = most > least ? status::feasible : status::optimal;
}

}  // namespace detail

/// Every expert's optimizer state cut into N shards, shard k of every expert on rank k, for good
/// (SYMI section 4.1): experts may then move between slots while their optimizer state never does.
///
/// Where N doesn't divide the elements some ranks get one more: they take turns from expert to
/// expert, so that no rank ends up with more than one element above another. A rank gets no shard
/// of an expert where there are fewer elements than ranks. Objective: the most bytes of optimizer
/// state on a rank; the lower bound, an even cut of all elements, is always met. O(E N). Always
/// feasible. Throws what validate throws.
struct uniform_shards {
  static constexpr std::string_view name = "uniform_shards";

  [[nodiscard]] constexpr solution<shard_map> operator()(optimizer_state const& problem) const {
    validate(problem);
    solution<shard_map> answer;
    answer.plan.elements = problem.elements;
    answer.plan.shards.resize(static_cast<std::size_t>(problem.experts));
    std::vector<rank_id> everyone;
    for (rank_id r : ids<rank_id>(problem.ranks)) everyone.push_back(r);
    std::int64_t turn = 0;  // the first of those who get one element more
    for (auto& shards : answer.plan.shards) {
      shards = detail::even_cut(problem.elements, everyone, turn);
      turn = (turn + problem.elements % problem.ranks) % problem.ranks;
    }
    detail::rate_by_fullest_rank(problem, answer);
    return answer;
  }
};
static_assert(solver_for<uniform_shards, optimizer_state>);

/// Every shard on r ranks, so that r - 1 lost ranks lose no optimizer state: chained declustering
/// (Hsiao and DeWitt, ICDE 1990) on top of uniform_shards.
///
/// What rank k owns is mirrored on the ranks k + 1 .. k + r - 1, cyclically. Any r - 1 ranks may
/// fall, and more of them as long as no r neighbours do; when one falls, ownership can shift along
/// the chain, so that the survivors share its work evenly (see `restore_shards`). Memory: r E O / N
/// on a rank. Gradients go to all r holders, r s N G bytes; weights go out from owners alone, s N W
/// bytes as before. Objective: the most bytes of optimizer state on a rank; bound: an even share of
/// all copies. O(r E N). Infeasible where there are fewer ranks than copies. Throws invalid_problem
/// where the problem is broken or `copies` is below 1.
struct mirrored_shards {
  static constexpr std::string_view name = "mirrored_shards";

  std::int32_t copies = 2;  ///< r, the owner's included

  [[nodiscard]] constexpr solution<shard_map> operator()(optimizer_state const& problem) const {
    if (copies < 1)
      throw invalid_problem("copies", "must be at least 1, is " + std::to_string(copies));
    auto answer = uniform_shards{}(problem);
    if (copies > problem.ranks) {
      answer.status = status::infeasible;
      answer.reason =
          text::of(copies) + " copies need as many ranks, there are " + text::of(problem.ranks);
      return answer;
    }
    for (auto& shards : answer.plan.shards)
      for (shard& s : shards)
        for (std::int32_t j = 1; j < copies; ++j)
          s.mirrors.emplace_back((s.owner.value() + j) % problem.ranks);
    detail::rate_by_fullest_rank(problem, answer);
    return answer;
  }
};
static_assert(solver_for<mirrored_shards, optimizer_state>);

/// An expert's state on the ranks of one node, nodes taking turns expert by expert: what MiCS
/// (Zhang et al., VLDB 2022) does with model states, applied to experts.
///
/// A shard is G times larger than a uniform one on G nodes, so that weights and gradients travel in
/// G times fewer, larger messages, and all of an expert's go between its hosts and one node. Memory
/// is that of uniform_shards where the nodes share the experts evenly. Nodes are consecutive ranks;
/// the last may be smaller. Experts go to the node whose ranks hold least, ties to the first.
/// Objective: the most bytes of optimizer state on a rank; bound: an even cut of all elements. O(E
/// (G + ranks of a node)). Always feasible. Throws invalid_problem where the state is broken or
/// `ranks_per_node` is below 1.
struct hierarchical_shards {
  static constexpr std::string_view name = "hierarchical_shards";

  std::int32_t ranks_per_node = 8;

  [[nodiscard]] constexpr solution<shard_map> operator()(optimizer_state const& problem) const {
    validate(problem);
    if (ranks_per_node < 1)
      throw invalid_problem("ranks_per_node",
                            "must be at least 1, is " + std::to_string(ranks_per_node));
    std::int32_t const nodes = ceil_divide(problem.ranks, ranks_per_node);
    solution<shard_map> answer;
    answer.plan.elements = problem.elements;
    answer.plan.shards.resize(static_cast<std::size_t>(problem.experts));
    std::vector<std::int64_t> on_node(static_cast<std::size_t>(nodes), 0);
    auto const size_of_node = [&](std::int32_t g) {
      return std::min(ranks_per_node, problem.ranks - g * ranks_per_node);
    };
    for (auto& shards : answer.plan.shards) {
      std::int32_t node = 0;  // the one whose ranks hold least: a / size of a < b / size of b
      for (std::int32_t g = 1; g < nodes; ++g)
        if (on_node[static_cast<std::size_t>(g)] * size_of_node(node) <
            on_node[static_cast<std::size_t>(node)] * size_of_node(g))
          node = g;
      auto const before = on_node[static_cast<std::size_t>(node)]++;
      std::vector<rank_id> owners;
      for (std::int32_t k = 0; k < size_of_node(node); ++k)
        owners.emplace_back(node * ranks_per_node + k);
      auto const ranks = static_cast<std::int64_t>(owners.size());
      shards = detail::even_cut(problem.elements, owners,
                                before * (problem.elements % ranks) % ranks);  // in turns
    }
    detail::rate_by_fullest_rank(problem, answer);
    return answer;
  }
};
static_assert(solver_for<hierarchical_shards, optimizer_state>);

/// Optimizer state tied to the replicas: an expert's state is cut over the ranks that host it,
/// evenly, and moves when they change. ZeRO-1 within the replicas of an expert, as DeepSpeed-MoE
/// keeps it (Rajbhandari et al., ICML 2022; ZeRO, SC 2020): the baseline of SwiftMoE's static
/// shards.
///
/// Objective: the most bytes of optimizer state on a rank; bound: an even cut of all elements. A
/// popular expert spreads thin and a rare one lies whole on one rank, so that ranks hold unequal
/// amounts. O(slots + shards). Always feasible. Throws invalid_problem where the state is broken or
/// the placement speaks of other ranks or experts.
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
      answer.plan.shards[e] = detail::even_cut(problem.elements, owners);
    }
    detail::rate_by_fullest_rank(problem, answer);
    return answer;
  }
};
static_assert(solver_for<replica_shards, optimizer_state>);

}  // namespace shunt

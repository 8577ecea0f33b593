#pragma once
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
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/solve/shards/even_cut.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

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
      shards = even_cut(problem.elements, owners,
                        before * (problem.elements % ranks) % ranks);  // in turns
    }
    rate_by_fullest_rank(problem, answer);
    return answer;
  }
};
static_assert(solver_for<hierarchical_shards, optimizer_state>);

}  // namespace shunt

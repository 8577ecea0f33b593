#pragma once
/// An expert's state on the ranks of one node, nodes taking turns expert by expert: what MiCS (Zhang et al., VLDB 2022) does with model
/// states, applied to experts.
///
/// A shard is G times larger than a uniform one on G nodes, so that weights and gradients travel in G times fewer, larger messages, and
/// all of an expert's go between its hosts and one node. Memory is that of uniform_shards where the nodes share the experts evenly.
/// Nodes are consecutive ranks; the last may be smaller. Experts go to the node whose ranks hold least, ties to the first.
/// Objective: the most bytes of optimizer state on a rank; bound: an even cut of all elements. O(E (G + ranks of a node)). Always feasible.
/// Throws invalid_problem where the state is broken or `ranks_per_node` is below 1.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

struct hierarchical_shards {
  static constexpr std::string_view name = "hierarchical_shards";

  std::int32_t ranks_per_node = 8;

  [[nodiscard]] constexpr solution<shard_map> operator()(optimizer_state const& problem) const {
    validate(problem);
    if (ranks_per_node < 1) throw invalid_problem("ranks_per_node", "must be at least 1, is " + std::to_string(ranks_per_node));
    std::int32_t const nodes = ceil_divide(problem.ranks, ranks_per_node);
    solution<shard_map> answer;
    answer.plan.elements = problem.elements;
    answer.plan.shards.resize(static_cast<std::size_t>(problem.experts));
    indexed<rank_id, std::int64_t> held(static_cast<std::size_t>(problem.ranks), 0);
    std::vector<std::int64_t> on_node(static_cast<std::size_t>(nodes), 0);
    auto const size_of_node = [&](std::int32_t g) { return std::min(ranks_per_node, problem.ranks - g * ranks_per_node); };
    for (auto& shards : answer.plan.shards) {
      std::int32_t node = 0;  // the one whose ranks hold least: a / size of a < b / size of b
      for (std::int32_t g = 1; g < nodes; ++g)
        if (on_node[static_cast<std::size_t>(g)] * size_of_node(node) < on_node[static_cast<std::size_t>(node)] * size_of_node(g)) node = g;
      on_node[static_cast<std::size_t>(node)] += 1;
      std::int32_t const ranks = size_of_node(node), first = node * ranks_per_node;
      std::int64_t const larger = problem.elements % ranks;
      std::int64_t const turn = (on_node[static_cast<std::size_t>(node)] - 1) * larger % ranks;  // who gets one element more, in turns
      std::int64_t begin = 0;
      for (std::int32_t k = 0; k < ranks; ++k) {
        std::int64_t const size = problem.elements / ranks + ((k - turn + ranks) % ranks < larger);
        if (size > 0) shards.push_back({.owner = first + k, .begin = begin, .end = begin + size});
        held[first + k] += size;
        begin += size;
      }
    }
    std::int64_t const most = *std::max_element(held.begin(), held.end());
    std::int64_t const least = ceil_divide<std::int64_t>(problem.elements * problem.experts, problem.ranks);
    answer.objective = static_cast<double>(most * problem.state_bytes);
    answer.lower_bound = static_cast<double>(least * problem.state_bytes);
    answer.status = most > least ? status::feasible : status::optimal;
    return answer;
  }
};
static_assert(solver_for<hierarchical_shards, optimizer_state>);

}  // namespace shunt

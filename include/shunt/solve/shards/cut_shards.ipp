#pragma once
#include "shunt/solve/shards/cut_shards.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/text.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/expert_hosts.hpp"

namespace shunt::detail {

// Elements between places where an expert may be cut for so many owners: 16 bytes of weights, which
// kernels load at once, where shards are so large that this unbalances them by less than 1/64.
SHUNT_CONSTEXPR std::int64_t cut_unit(optimizer_state const& problem, std::int64_t owners) {
  std::int64_t const unit = 16 / std::gcd(16, problem.weight_bytes);
  return problem.elements / owners >= 64 * unit ? unit : 1;
}

// Cuts the elements of an expert into one shard per owner, in the order of the owners; sizes
// differ by at most a unit, and the last one has what is less than a unit besides. If they differ,
// the owners from `turn` on, cyclically, get a unit more.
// Returns the shards; an owner without elements has none.
// Requires `owners` not to be empty.
SHUNT_CONSTEXPR std::vector<shard> even_cut(std::int64_t elements,
                                            std::vector<rank_id> const& owners, std::int64_t unit,
                                            std::int64_t turn = 0) {
  auto const parts = static_cast<std::int64_t>(owners.size());
  std::int64_t const units = elements / unit;
  std::vector<shard> shards;
  std::int64_t begin = 0;
  for (std::int64_t k = 0; k < parts; ++k) {
    std::int64_t const more = (k - turn + parts) % parts < units % parts;
    std::int64_t const end = k == parts - 1 ? elements : begin + unit * (units / parts + more);
    if (end > begin)
      shards.push_back({.owner = owners[static_cast<std::size_t>(k)], .begin = begin, .end = end});
    begin = end;
  }
  return shards;
}

// Sets objective, lower bound and status of an answer that has a plan.
SHUNT_CONSTEXPR void rate_by_fullest_rank(optimizer_state const& problem,
                                          solution<shard_map>& answer) {
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

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR solution<shard_map> uniform_shards::operator()(
    optimizer_state const& problem) const {
  validate(problem);
  solution<shard_map> answer;
  answer.plan.elements = problem.elements;
  answer.plan.shards.resize(static_cast<std::size_t>(problem.experts));
  std::vector<rank_id> every_rank;
  for (rank_id r : ids<rank_id>(problem.ranks)) every_rank.push_back(r);
  auto const unit = detail::cut_unit(problem, problem.ranks);
  std::int64_t turn = 0;  // the first rank that gets a unit more
  for (auto& shards : answer.plan.shards) {
    shards = detail::even_cut(problem.elements, every_rank, unit, turn);
    turn = (turn + problem.elements / unit % problem.ranks) % problem.ranks;
  }
  detail::rate_by_fullest_rank(problem, answer);
  return answer;
}

SHUNT_CONSTEXPR solution<shard_map> mirrored_shards::operator()(
    optimizer_state const& problem) const {
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

SHUNT_CONSTEXPR solution<shard_map> hierarchical_shards::operator()(
    optimizer_state const& problem) const {
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
    // the node with the least state per rank: a / size of a < b / size of b
    std::int32_t node = 0;
    for (std::int32_t g = 1; g < nodes; ++g)
      if (on_node[static_cast<std::size_t>(g)] * size_of_node(node) <
          on_node[static_cast<std::size_t>(node)] * size_of_node(g))
        node = g;
    auto const before = on_node[static_cast<std::size_t>(node)]++;
    std::vector<rank_id> owners;
    for (std::int32_t k = 0; k < size_of_node(node); ++k)
      owners.emplace_back(node * ranks_per_node + k);
    auto const ranks = static_cast<std::int64_t>(owners.size());
    auto const unit = detail::cut_unit(problem, ranks);
    shards = detail::even_cut(problem.elements, owners, unit,
                              // turns within the node
                              before * (problem.elements / unit % ranks) % ranks);
  }
  detail::rate_by_fullest_rank(problem, answer);
  return answer;
}

SHUNT_CONSTEXPR solution<shard_map> replica_shards::operator()(
    optimizer_state const& problem) const {
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
    auto const unit = detail::cut_unit(problem, static_cast<std::int64_t>(owners.size()));
    answer.plan.shards[e] = detail::even_cut(problem.elements, owners, unit);
  }
  detail::rate_by_fullest_rank(problem, answer);
  return answer;
}

}  // namespace shunt

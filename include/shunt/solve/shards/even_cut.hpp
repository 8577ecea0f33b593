#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/solve/solver.hpp"

/// What the solvers of shard maps have in common: they cut an expert evenly over some ranks, and
/// are rated by the rank that holds most.
namespace shunt {

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

}  // namespace shunt

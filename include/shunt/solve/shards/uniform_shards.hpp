#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Every expert's optimizer state cut into N shards, shard k of every expert on rank k, for good (SYMI section 4.1): experts may then move
/// between slots while their optimizer state never does.
///
/// Where N doesn't divide the elements some ranks get one more: they take turns from expert to expert, so that no rank ends up with more
/// than one element above another. A rank gets no shard of an expert where there are fewer elements than ranks.
/// Objective: the most bytes of optimizer state on a rank; the lower bound, an even cut of all elements, is always met.
/// O(E N). Always feasible. Throws what validate throws.
struct uniform_shards {
  static constexpr std::string_view name = "uniform_shards";

  [[nodiscard]] constexpr solution<shard_map> operator()(optimizer_state const& problem) const {
    validate(problem);
    solution<shard_map> answer;
    answer.plan.elements = problem.elements;
    answer.plan.shards.resize(static_cast<std::size_t>(problem.experts));
    std::int64_t const larger = problem.elements % problem.ranks;  // shards with one element more
    std::int64_t first = 0;                                        // the rank that has the first of them
    for (auto& shards : answer.plan.shards) {
      std::int64_t begin = 0;
      for (rank_id r : ids<rank_id>(problem.ranks)) {
        std::int64_t const turn = (r.value() - first + problem.ranks) % problem.ranks;
        std::int64_t const size = problem.elements / problem.ranks + (turn < larger);
        if (size > 0) shards.push_back({.owner = r, .begin = begin, .end = begin + size});
        begin += size;
      }
      first = (first + larger) % problem.ranks;
    }
    std::int64_t const most = ceil_divide<std::int64_t>(problem.elements * problem.experts, problem.ranks) * problem.state_bytes;
    answer.objective = answer.lower_bound = static_cast<double>(most);
    answer.status = status::optimal;
    return answer;
  }
};
static_assert(solver_for<uniform_shards, optimizer_state>);

}  // namespace shunt

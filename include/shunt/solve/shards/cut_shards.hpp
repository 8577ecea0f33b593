#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/solve/shards/even_cut.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

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
      shards = even_cut(problem.elements, everyone, turn);
      turn = (turn + problem.elements % problem.ranks) % problem.ranks;
    }
    rate_by_fullest_rank(problem, answer);
    return answer;
  }
};
static_assert(solver_for<uniform_shards, optimizer_state>);

}  // namespace shunt

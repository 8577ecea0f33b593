#pragma once
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
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "shunt/core/text.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "shunt/solve/shards/even_cut.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

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
    rate_by_fullest_rank(problem, answer);
    return answer;
  }
};
static_assert(solver_for<mirrored_shards, optimizer_state>);

}  // namespace shunt

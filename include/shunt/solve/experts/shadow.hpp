#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Returns the cost of sending an expert's weights to all ranks, in tokens that a rank could
/// receive and compute in that time. With H numbers per token, an expert of two H x alpha H
/// matrices and b bytes per number, broadcasting takes 2 alpha H^2 b / bandwidth, and a token 3 x 4
/// alpha H^2 / throughput (forward, and twice that backward) + 4 H b / bandwidth (there and back,
/// forward and backward). Bandwidth is in bytes per second, throughput in floating-point operations
/// per second.
/// Reference: FasterMoE, PPoPP 2022, section 4.2.
[[nodiscard]] constexpr double shadow_cost(double hidden, double alpha, double bytes,
                                           double bandwidth, double throughput) {
  double const weights = 2 * alpha * hidden * hidden * bytes / bandwidth;
  return weights / (3 * 4 * alpha * hidden * hidden / throughput + 4 * hidden * bytes / bandwidth);
}

/// FasterMoE's dynamic shadowing: every expert has one home that never changes; the hottest experts
/// are sent to all ranks for one iteration if that pays.
/// Homes are dealt in the order of experts, evenly over live ranks as far as their slots go.
/// Shadows take a slot on every rank but the home. With k shadows a layer takes T(k) = max over
/// ranks of tokens + k x broadcast_cost, in tokens. Experts are added hottest first (ties: the
/// lowest index) while T falls and every rank has a free slot. An unused slot holds another
/// instance of the rank's coldest home (of the coldest shadowed home if all its homes are shadows),
/// whose tokens stay on that rank. So an expert has one host or all.
/// Objective: max/mean load without the broadcasts. Infeasible: fewer slots than experts.
/// Throws what validate throws, and invalid_problem("broadcast_cost") if it is below 0.
/// Complexity: O(E log E + shadows (E + N)) per layer.
/// Reference: He et al., FasterMoE, PPoPP 2022.
struct shadow {
  static constexpr std::string_view name = "shadow";

  /// In tokens; the default is shadow_cost of H = 1024, alpha = 4, half precision, 12.5 GB/s and 10
  /// Tflop/s.
  std::int64_t broadcast_cost = 236;

  [[nodiscard]] constexpr solution<expert_placement> operator()(
      expert_layers const& problem) const {
    validate(problem);
    if (broadcast_cost < 0)
      throw invalid_problem("broadcast_cost",
                            "must be at least 0, is " + std::to_string(broadcast_cost));
    auto answer = unplaced(problem);
    if (!answer.has_plan()) return answer;
    auto const homes = homes_of(problem);
    std::vector<std::size_t> order(static_cast<std::size_t>(problem.experts));
    for (layer_id l : ids<layer_id>(problem.layers)) {
      auto const loads = problem.loads_of(l);
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return loads[a] > loads[b] || (loads[a] == loads[b] && a < b);
      });
      fill(problem, homes, order, shadows(problem, homes, order, loads), answer.plan.layer(l));
    }
    return evaluated(problem, std::move(answer.plan));
  }

 private:
  /// Returns the rank of each expert's home; ranks ascend.
  static constexpr std::vector<std::size_t> homes_of(expert_layers const& problem) {
    auto const& slots = problem.slots_per_rank;
    std::vector<std::int32_t> count(slots.size(), 0);
    for (std::int32_t e = 0, level = 1; e < problem.experts; ++level)
      for (std::size_t r = 0; r < slots.size() && e < problem.experts; ++r)
        if (slots[r] >= level) {
          ++count[r];
          ++e;
        }
    std::vector<std::size_t> homes;
    for (std::size_t r = 0; r < slots.size(); ++r)
      homes.insert(homes.end(), static_cast<std::size_t>(count[r]), r);
    return homes;
  }

  /// Returns how many experts of `order` pay as shadows.
  constexpr std::size_t shadows(expert_layers const& problem, std::span<std::size_t const> homes,
                                std::span<std::size_t const> order,
                                std::span<std::int64_t const> loads) const {
    std::vector<std::int64_t> tokens(problem.slots_per_rank.size(), 0);
    std::vector<std::int32_t> free(problem.slots_per_rank.begin(), problem.slots_per_rank.end());
    std::int32_t live = 0;
    for (auto const s : free) live += s > 0;
    for (std::size_t e = 0; e < homes.size(); ++e) {
      tokens[homes[e]] += loads[e];
      --free[homes[e]];
    }
    auto const most =
        // live x T(k), since shares are not whole numbers
        [&](std::int64_t shared, std::int64_t k) {
          std::int64_t const fullest = *std::max_element(tokens.begin(), tokens.end());
          auto const sent = checked_multiply(k, broadcast_cost);
          auto const cost = sent ? checked_add(fullest, *sent) : std::nullopt;
          auto const all = cost ? checked_multiply(*cost, live) : std::nullopt;
          auto const sum = all ? checked_add(*all, shared) : std::nullopt;
          return sum ? *sum : std::numeric_limits<std::int64_t>::max();
        };
    std::int64_t shared = 0, best = most(0, 0);
    std::size_t k = 0;
    for (; live > 1 && k < order.size(); ++k) {
      std::size_t const e = order[k];
      bool room = true;
      for (std::size_t r = 0; r < free.size(); ++r)
        room = room && (problem.slots_per_rank[r] == 0 || r == homes[e] || free[r] > 0);
      if (!room) break;
      tokens[homes[e]] -= loads[e];
      shared += loads[e];
      auto const now = most(shared, static_cast<std::int64_t>(k) + 1);
      if (now >= best) break;
      best = now;
      for (std::size_t r = 0; r < free.size(); ++r)
        free[r] -= problem.slots_per_rank[r] > 0 && r != homes[e];
    }
    return k;
  }

  static constexpr void fill(expert_layers const& problem, std::span<std::size_t const> homes,
                             std::span<std::size_t const> order, std::size_t shadows,
                             std::span<expert_id> placed) {
    std::size_t at = 0;
    for (std::size_t r = 0; r < problem.slots_per_rank.size(); ++r) {
      std::size_t const end = at + static_cast<std::size_t>(problem.slots_per_rank[r]);
      if (at == end) continue;
      for (std::size_t e = 0; e < homes.size(); ++e)
        if (homes[e] == r) placed[at++] = e;
      for (std::size_t i = 0; i < shadows; ++i)
        if (homes[order[i]] != r) placed[at++] = order[i];
      std::size_t coldest = order.size();  // position in the order
      for (std::size_t i = order.size(); i > 0 && coldest == order.size(); --i)
        if (homes[order[i - 1]] == r) coldest = i - 1;
      expert_id const spare = coldest < order.size() ? order[coldest] : order.back();
      while (at < end) placed[at++] = spare;
    }
  }
};
static_assert(solver_for<shadow, expert_layers>);

}  // namespace shunt

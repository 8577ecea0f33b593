#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/plan/layer_slots.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/slot_budget.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Chooses the slots of each layer by the placements that a solver makes, where slot_budget chooses
/// by a bound that may be flat. Every layer is placed with the slots of an even dealing, with those
/// of `budget`, and with up to `reach` more and fewer than either; a dynamic program chooses among
/// these. Of its dealing, the even one and that of `budget`, the one with the least sum of fullest
/// ranks is the answer, so it is never worse than dealing evenly.
/// Objective: the sum over layers of the fullest rank's tokens under the even split, as
/// `place_layers` places them with the same solver. Lower bound: that of `budget` less what
/// rounding to whole tokens adds, or an even share of all tokens. Infeasible: as `budget`, or if
/// the solver finds no placement of a layer in any of the three dealings.
/// Throws what `budget` and the solver throw, and invalid_problem("reach") if it is below 0.
/// Complexity: about 4 `reach` + 2 calls of the solver per layer.
template <solver_for<expert_layers> Solver = balanced>
struct measured_slot_budget {
  static constexpr std::string_view name = "measured_slot_budget";

  slot_budget budget{};
  Solver solver{};
  std::int32_t reach = 2;  ///< Slots above and below each dealing that are tried.

  [[nodiscard]] SHUNT_CONSTEXPR solution<layer_slots> operator()(
      expert_layers const& problem) const {
    if (reach < 0)
      throw invalid_problem("reach", "must be at least 0, is " + std::to_string(reach));
    auto answer = budget(problem);
    if (!answer.has_plan()) return answer;
    auto const memory = budget.slots_of_ranks(problem);
    std::int64_t const spare = std::accumulate(memory.begin(), memory.end(), std::int64_t{0}) -
                               std::int64_t{problem.layers} * problem.experts;
    auto const layers = static_cast<std::size_t>(problem.layers);
    std::vector<std::int64_t> even(layers, 0);
    for (std::size_t l = 0; l < layers; ++l)
      even[l] = spare / problem.layers + (static_cast<std::int64_t>(l) < spare % problem.layers);

    // in parts of a token, as small as 62 bits hold; with one slot per expert a layer has at most
    // all its tokens on a rank
    std::uint64_t most_tokens = 1;
    for (auto const load : problem.loads)
      most_tokens =
          std::min(most_tokens + static_cast<std::uint64_t>(load), std::uint64_t{1} << 62);
    double const parts = static_cast<double>(
        std::int64_t{1} << std::clamp(61 - static_cast<int>(std::bit_width(most_tokens)), 0, 16));
    std::vector<std::vector<std::int64_t>> tokens(layers);
    for (std::size_t l = 0; l < layers; ++l) {
      std::int64_t const by_bound = answer.plan.of(l) - problem.experts;
      std::int64_t const most = std::min(spare, std::max(even[l], by_bound) + reach);
      for (std::int64_t k = 0; k <= most; ++k) {
        bool const asked = (even[l] - reach <= k && k <= even[l] + reach) ||
                           (by_bound - reach <= k && k <= by_bound + reach);
        tokens[l].push_back(
            asked ? rounded_up(parts * fullest(layer_with(problem, l, problem.experts + k, memory)))
                  : detail::unknown);
      }
    }
    bool const known = std::all_of(tokens.begin(), tokens.end(), [](auto const& t) {
      return std::any_of(t.begin(), t.end(), [](auto x) { return x != detail::unknown; });
    });

    std::vector<layer_slots> dealings{detail::deal_layers(problem.experts, memory, even),
                                      answer.plan};
    if (known && fits(tokens, even))
      dealings.push_back(
          detail::deal_layers(problem.experts, memory, detail::least_sum(tokens, spare)));
    double least = -1;
    for (auto const& dealt : dealings) {
      double sum = 0;
      for (layer_id l : ids<layer_id>(problem.layers)) {
        double const most = fullest(layer_of(problem, dealt, l));
        sum = most < 0 || sum < 0 ? -1 : sum + most;
      }
      if (sum < 0 || (least >= 0 && sum >= least)) continue;
      least = sum;
      answer.plan = dealt;
    }
    if (least >= 0) {
      // `budget` bounds whole tokens: w / c of them on c of the live ranks L, rounded up, are up to
      // (L - 1) / L above an even split
      auto const live = static_cast<double>(
          std::count_if(memory.begin(), memory.end(), [](auto m) { return m > 0; }));
      double all = 0;
      for (auto const load : problem.loads) all += static_cast<double>(load);
      answer.objective = least;
      answer.lower_bound =
          std::max(all / live, answer.lower_bound - problem.layers * (live - 1) / live);
      answer.status =
          least <= answer.lower_bound * (1 + 1e-12) ? status::optimal : status::feasible;
      if (answer.status == status::optimal) answer.lower_bound = least;
      return answer;
    }
    answer = {.status = status::infeasible,
              .reason = text(std::string(Solver::name) + " finds no placement of some layer")};
    return answer;
  }

 private:
  /// Returns whether the program may choose the even dealing, so that it has an answer.
  static constexpr bool fits(std::vector<std::vector<std::int64_t>> const& tokens,
                             std::vector<std::int64_t> const& even) {
    for (std::size_t l = 0; l < even.size(); ++l)
      if (tokens[l][static_cast<std::size_t>(even[l])] == detail::unknown) return false;
    return true;
  }

  /// Returns a layer with that many slots, dealt to the ranks in proportion to their memory.
  static SHUNT_CONSTEXPR expert_layers layer_with(expert_layers const& problem, layer_id l,
                                                  std::int64_t slots,
                                                  std::vector<std::int64_t> const& memory) {
    auto const share = detail::deal_layers(0, memory, std::vector<std::int64_t>(1, slots));
    auto one = layer_of(problem, l);
    one.slots_per_rank = share.slots;
    return one;
  }

  static constexpr std::int64_t rounded_up(double tokens) {
    return tokens < 0 ? detail::unknown
                      : static_cast<std::int64_t>(tokens) +
                            (static_cast<double>(static_cast<std::int64_t>(tokens)) < tokens);
  }

  /// Returns the tokens of the fullest rank of a layer, -1 without a placement.
  SHUNT_CONSTEXPR double fullest(expert_layers const& layer) const {
    auto const answer = solver(layer);
    if (!answer.has_plan()) return -1;
    double most = 0;
    for (double const load : rank_loads(layer.loads, answer.plan, 0)) most = std::max(most, load);
    return most;
  }
};
static_assert(solver_for<measured_slot_budget<>, expert_layers>);

}  // namespace shunt

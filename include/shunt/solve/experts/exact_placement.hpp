#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Finds and proves the least max/mean load of small layers: branch and bound over replica counts
/// and placements, those with two replicas of an expert on a rank included. Groups and nodes are
/// ignored.
/// Counts c_e >= 1 with sum S are chosen one after another and skipped if some w_e / min(c_e, L) is
/// no better than the best. Then expert by expert, the largest share first, each rank gets some of
/// its copies; ranks with equal load and free slots get them in descending order. A branch ends if
/// a rank is no better than the best, or if the bound is met. If `effort` runs out, the best
/// placement found is feasible, with the bound of every placement. Infeasible: fewer slots than
/// experts.
/// Throws what validate throws.
/// Complexity: exponential; for up to about 16 slots.
struct exact_placement {
  static constexpr std::string_view name = "exact_placement";

  std::int64_t effort = 50'000'000;  ///< Nodes per layer, some nanoseconds each.

  [[nodiscard]] solution<expert_placement> operator()(expert_layers const& problem) const;

 private:
  struct search {
    expert_layers const& problem;
    std::span<std::int64_t const> loads;
    std::int64_t effort;
    /// Tokens of the fullest rank: in the best known placement, and a lower bound of all
    /// placements.
    double best, target;
    std::int32_t live = 0;
    std::vector<std::int32_t> copies{}, free{};
    std::vector<std::size_t> order{};
    std::vector<double> load{};
    std::vector<std::vector<std::int32_t>> given{};  ///< by expert and rank
    std::vector<expert_id> found{};

    search(expert_layers const& p, layer_id l, std::int64_t nodes, double known);

    void run() { count(0, problem.slots() - problem.experts); }

    /// Returns whether a rank with so many tokens is no better than the best, beyond rounding.
    bool hopeless(double tokens) const { return tokens >= best * (1 - 1e-12); }
    bool over() { return effort <= 0 || best <= target * (1 + 1e-12); }

    void count(std::size_t e, std::int32_t spare);

    double share(std::size_t e) const { return static_cast<double>(loads[e]) / copies[e]; }

    /// Gives `left` more copies of the i-th expert of the order to ranks from r on.
    void place(std::size_t i, std::size_t r, std::int32_t left);
  };
};
static_assert(solver_for<exact_placement, expert_layers>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/exact_placement.ipp"
#endif

#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/solution.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
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

  [[nodiscard]] solution<expert_placement> operator()(expert_layers const& problem) const {
    auto answer = swift_moe{}(problem);
    if (!answer.has_plan()) return answer;
    double proved = 0;
    bool whole = true;
    for (layer_id l : ids<layer_id>(problem.layers)) {
      search s(problem, l, effort, max_over_mean(problem.loads_of(l), answer.plan, l));
      s.run();
      if (!s.found.empty()) std::copy(s.found.begin(), s.found.end(), answer.plan.layer(l).begin());
      bool const done = s.effort > 0;
      whole = whole && done;
      proved += done ? max_over_mean(problem.loads_of(l), answer.plan, l)
                     : max_over_mean_bound(problem, l);
    }
    answer = evaluated(problem, std::move(answer.plan));
    answer.lower_bound =
        std::max(answer.lower_bound, std::min(answer.objective, proved / problem.layers));
    if (whole) {
      answer.lower_bound = answer.objective;
      answer.status = status::optimal;
    }
    return answer;
  }

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

    search(expert_layers const& p, layer_id l, std::int64_t nodes, double known)
        : problem(p),
          loads(p.loads_of(l)),
          effort(nodes),
          best(0),
          target(0),
          copies(loads.size(), 1),
          free(p.slots_per_rank),
          order(loads.size()),
          load(free.size(), 0),
          given(loads.size(), std::vector<std::int32_t>(free.size(), 0)) {
      double total = 0;
      for (auto const x : loads) total += static_cast<double>(x);
      for (auto const s : free) live += s > 0;
      best = known * total / live;
      target = max_over_mean_bound(p, l) * total / live;
    }

    void run() { count(0, problem.slots() - problem.experts); }

    /// Returns whether a rank with so many tokens is no better than the best, beyond rounding.
    bool hopeless(double tokens) const { return tokens >= best * (1 - 1e-12); }
    bool over() { return effort <= 0 || best <= target * (1 + 1e-12); }

    void count(std::size_t e, std::int32_t spare) {
      if (over()) return;
      --effort;
      auto const weight = static_cast<double>(loads[e]);
      if (e + 1 == loads.size()) {
        copies[e] = 1 + spare;
        if (hopeless(weight / std::min(copies[e], live))) return;
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
        std::sort(order.begin(), order.end(), [&](auto a, auto b) {
          return share(a) > share(b) || (share(a) == share(b) && a < b);
        });
        place(0, 0, copies[order[0]]);
        return;
      }
      for (std::int32_t more = 0; more <= spare; ++more) {
        copies[e] = 1 + more;
        if (!hopeless(weight / std::min(copies[e], live))) count(e + 1, spare - more);
      }
    }

    double share(std::size_t e) const { return static_cast<double>(loads[e]) / copies[e]; }

    /// Gives `left` more copies of the i-th expert of the order to ranks from r on.
    void place(std::size_t i, std::size_t r, std::int32_t left) {
      if (over()) return;
      --effort;
      if (left == 0) {
        if (i + 1 < order.size()) return place(i + 1, 0, copies[order[i + 1]]);
        best = *std::max_element(load.begin(), load.end());
        found.clear();
        for (std::size_t q = 0; q < load.size(); ++q)
          for (std::size_t e = 0; e < given.size(); ++e)
            found.insert(found.end(), static_cast<std::size_t>(given[e][q]), expert_id{e});
        return;
      }
      if (r == load.size()) return;
      std::size_t const e = order[i];
      double const each = share(e), before = load[r];
      std::int32_t const room = free[r];
      std::int32_t most = std::min(room, left);
      for (std::size_t q = r; q-- > 0;)  // the previous equal rank limits this one
        if (free[q] + given[e][q] == room && load[q] - given[e][q] * each == before) {
          most = std::min(most, given[e][q]);
          break;
        }
      for (std::int32_t k = most; k >= 0; --k) {
        if (k > 0 && hopeless(before + k * each)) continue;
        given[e][r] = k;
        free[r] = room - k;
        load[r] = before + k * each;
        place(i, r + 1, left - k);
      }
      given[e][r] = 0;
      free[r] = room;
      load[r] = before;
    }
  };
};
static_assert(solver_for<exact_placement, expert_layers>);

}  // namespace shunt

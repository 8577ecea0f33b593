#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/token_quotas.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/routed_tokens.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Exact token shares of one layer of one micro-batch. Allocates when it is constructed, not when
/// it is called.
/// Rank r is home to some experts and has w_r tokens for them; no rank may compute more than C. A
/// rank above C is a source with surplus w_r - C, a rank below C a receiver with room C - w_r. A
/// copy takes tokens of one expert from a source to a receiver. If every copy brings a rank to
/// exactly C, there are at most R - 1 copies. The rule prefers such copies; the last resort closes
/// no rank. A rank hosts at most two copies unless the last resort occurs. R - 1 is no theorem: 16
/// ranks with 8 equal experts each and 16 empty ones need 64 copies.
/// See docs/expert-solvers.md.
/// Complexity: O(E + R copies).
class quota_rule {
 public:
  /// Requires one home per expert, below `ranks`.
  SHUNT_CONSTEXPR quota_rule(std::int32_t ranks, std::span<rank_id const> homes,
                             std::span<char const> live);

  /// Returns the copies, valid until the next call.
  /// Requires `cap` times the live ranks to hold all tokens.
  SHUNT_CONSTEXPR std::span<expert_copy const> operator()(std::span<std::int64_t const> loads,
                                                          std::int64_t cap);

 private:
  struct source {
    std::size_t rank = 0, expert = 0;  ///< the largest expert by tokens left at home
    std::int64_t left = 0;             ///< tokens of that expert
    std::int64_t surplus = 0;
  };
  struct receiver {
    std::int64_t room = 0;
    std::size_t rank = 0;
    std::int32_t hosts = 0;
  };

  SHUNT_CONSTEXPR void refresh(source& s) const;

  SHUNT_CONSTEXPR void fill(std::span<std::int64_t const> loads, std::int64_t cap);

  std::vector<rank_id> homes_;
  std::vector<char> live_;
  std::vector<std::size_t> first_, list_;  ///< experts by home
  std::vector<std::int64_t> tokens_;
  std::vector<std::int64_t> left_;  ///< tokens of each expert still at home
  std::vector<source> sources_{};
  std::vector<receiver> receivers_{};
  std::vector<expert_copy> copies_{};
};

/// Leaves experts at home and copies a few for one micro-batch such that no rank computes more than
/// `cap` x tokens / live ranks, rounded up: an exact planner for the problem of MoonEP, LLEP and
/// UltraEP. The slots of the problem are the homes, as many as experts: slot k is the home of
/// expert k, or of previous[k] if the problem has a previous placement.
/// Objective: the number of copies, summed over layers; lower bound: copies_bound. The balance is a
/// constraint and always met; with cap 1 every rank has at most ceil(tokens / ranks) tokens. A
/// looser cap needs fewer copies.
/// Throws what validate throws, and invalid_problem if the number of slots differs from that of the
/// experts, a home is named twice, or cap is below 1.
/// Complexity: O(E + R copies) per layer.
struct quotas {
  static constexpr std::string_view name = "quotas";

  capacity_factor cap{};  ///< Of the mean, at least 1.

  [[nodiscard]] SHUNT_CONSTEXPR solution<token_quotas> operator()(
      expert_layers const& problem) const;
};
static_assert(solver_for<quotas, expert_layers>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/quotas.ipp"
#endif

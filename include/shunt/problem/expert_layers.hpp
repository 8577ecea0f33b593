#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

/// Divides slots over ranks as evenly as possible. The first ranks get one more where the total
/// isn't a multiple of the ranks.
[[nodiscard]] constexpr std::vector<std::int32_t> deal_slots(std::int32_t slots,
                                                             std::int32_t ranks) {
  std::vector<std::int32_t> dealt(static_cast<std::size_t>(ranks), 0);
  for (std::int32_t r = 0; r < ranks; ++r)
    dealt[static_cast<std::size_t>(r)] = slots / ranks + (r < slots % ranks);
  return dealt;
}

/// Mixture-of-experts layers to place: tokens per expert and layer, and the slots of the ranks. All
/// layers have the same experts and the same slots. Each layer is placed independently.
struct expert_layers {
  std::int32_t layers = 1;
  std::int32_t experts = 1;  ///< E, expert classes of a layer
  /// layers x experts, row-major: tokens routed to each expert, before any is dropped.
  std::vector<std::int64_t> loads{};
  /// One entry per rank, 0 for a dead one. The sum is the paper's s N.
  std::vector<std::int32_t> slots_per_rank{};
  /// Consecutive ranks share a node, the last node may hold fewer. 0: all on one node.
  std::int32_t ranks_per_node = 0;
  /// Number of expert groups, in order and of nearly equal size. The experts of a group stay on one
  /// node (EPLB's hierarchical policy, for group-limited routing). 0: no restriction.
  std::int32_t groups = 0;
  /// layers x slots: the current content of the slots. Empty: there is none.
  std::vector<expert_id> previous{};
  /// windows x layers x experts: loads of earlier windows, the oldest first.
  std::vector<std::int64_t> history{};
  /// layers x ranks x experts: the loads by the rank that holds the tokens. Empty: unknown.
  std::vector<std::int64_t> sources{};

  [[nodiscard]] constexpr std::int32_t ranks() const {
    return static_cast<std::int32_t>(slots_per_rank.size());
  }
  [[nodiscard]] constexpr std::int32_t slots() const {
    std::int32_t sum = 0;
    for (auto const s : slots_per_rank) sum += s;
    return sum;
  }
  [[nodiscard]] constexpr std::span<std::int64_t const> loads_of(layer_id l) const {
    auto const width = static_cast<std::size_t>(experts);
    return std::span(loads).subspan(l.index() * width, width);
  }
  [[nodiscard]] constexpr std::int32_t windows() const {
    return static_cast<std::int32_t>(
        history.size() / (static_cast<std::size_t>(layers) * static_cast<std::size_t>(experts)));
  }
  [[nodiscard]] constexpr std::span<std::int64_t const> loads_of(layer_id l,
                                                                 std::int32_t window) const {
    auto const width = static_cast<std::size_t>(experts);
    auto const row =
        static_cast<std::size_t>(window) * static_cast<std::size_t>(layers) + l.index();
    return std::span(history).subspan(row * width, width);
  }
  [[nodiscard]] constexpr std::span<expert_id const> previous_of(layer_id l) const {
    auto const width = static_cast<std::size_t>(slots());
    return std::span(previous).subspan(l.index() * width, width);
  }
  /// Returns the tokens of one rank for each expert of a layer.
  /// Requires `sources`.
  [[nodiscard]] constexpr std::span<std::int64_t const> sources_of(layer_id l,
                                                                   rank_id source) const {
    auto const width = static_cast<std::size_t>(experts);
    return std::span(sources).subspan((l.index() * slots_per_rank.size() + source.index()) * width,
                                      width);
  }
  [[nodiscard]] constexpr std::int32_t nodes() const {
    return ranks_per_node == 0 ? 1 : ceil_divide(ranks(), ranks_per_node);
  }
  constexpr bool operator==(expert_layers const&) const = default;
};

namespace detail {

/// Throws unless no load is negative and the sum times `weight` is below 2^62.
constexpr void validate_loads(std::span<std::int64_t const> row, std::int64_t weight,
                              auto const& name) {
  std::optional<std::int64_t> sum = 0;
  for (std::size_t e = 0; e < row.size() && sum; ++e) {
    if (row[e] < 0)
      throw invalid_problem(name() + "[" + std::to_string(e) + "]",
                            "must be at least 0, is " + std::to_string(row[e]));
    sum = checked_add(*sum, row[e]);
  }
  auto const scaled = sum ? checked_multiply(*sum, weight) : std::nullopt;
  if (!scaled || *scaled >= (std::int64_t{1} << 62))
    throw invalid_problem(name(), "its sum times the slots is beyond 62 bits");
}

/// Throws unless no load is negative and the sources of each expert add up to its load.
constexpr void validate_sources(expert_layers const& p) {
  if (p.sources.empty()) return;
  auto const cells = p.loads.size() * p.slots_per_rank.size();
  if (p.sources.size() != cells)
    throw invalid_problem("sources", "has " + std::to_string(p.sources.size()) + " values for " +
                                         std::to_string(p.layers) + " layers x " +
                                         std::to_string(p.ranks()) + " ranks x " +
                                         std::to_string(p.experts) + " experts");
  for (layer_id l : ids<layer_id>(p.layers)) {
    auto const row = [&](auto i) {
      return "sources[" + std::to_string(l.value()) + "][" + std::to_string(i) + "]";
    };
    for (expert_id e : ids<expert_id>(p.experts)) {
      std::int64_t const load = p.loads_of(l)[e.index()];
      std::int64_t left = load;
      for (rank_id r : ids<rank_id>(p.ranks())) {
        std::int64_t const count = p.sources_of(l, r)[e.index()];
        if (count < 0 || count > left)
          throw invalid_problem(row(r.value()) + "[" + std::to_string(e.value()) + "]",
                                count < 0
                                    ? "must be at least 0, is " + std::to_string(count)
                                    : "takes the sum over sources beyond the load " +
                                          std::to_string(load) + ", is " + std::to_string(count));
        left -= count;
      }
      if (left != 0)
        throw invalid_problem("sources[" + std::to_string(l.value()) + "]",
                              "expert " + std::to_string(e.value()) + " adds up to " +
                                  std::to_string(load - left) + ", its load is " +
                                  std::to_string(load));
    }
  }
}

}  // namespace detail

/// Throws invalid_problem, which names field, row and value, where a size isn't positive, a table
/// has another shape than documented, a load or a number of slots is negative, `groups` is more
/// than the experts, `previous` names an unknown expert, `sources` has other sums than `loads`,
/// slots exceed 31 bits, or the sum of a layer's loads times (slots + experts) exceeds 62 bits.
/// Fewer slots than experts is no error here: solvers answer infeasible.
constexpr void validate(expert_layers const& p) {
  if (p.layers < 1)
    throw invalid_problem("layers", "must be at least 1, is " + std::to_string(p.layers));
  if (p.experts < 1)
    throw invalid_problem("experts", "must be at least 1, is " + std::to_string(p.experts));
  if (p.slots_per_rank.empty()) throw invalid_problem("slots_per_rank", "names no rank");
  std::int64_t slots = 0;
  for (std::size_t r = 0; r < p.slots_per_rank.size(); ++r) {
    if (p.slots_per_rank[r] < 0)
      throw invalid_problem("slots_per_rank[" + std::to_string(r) + "]",
                            "must be at least 0, is " + std::to_string(p.slots_per_rank[r]));
    slots += p.slots_per_rank[r];
  }
  if (slots >= (std::int64_t{1} << 31))
    throw invalid_problem("slots_per_rank", "adds up beyond 31 bits");
  auto const cells = static_cast<std::size_t>(p.layers) * static_cast<std::size_t>(p.experts);
  if (p.loads.size() != cells)
    throw invalid_problem("loads", "has " + std::to_string(p.loads.size()) + " values for " +
                                       std::to_string(p.layers) + " layers x " +
                                       std::to_string(p.experts) + " experts");
  for (std::int32_t l = 0; l < p.layers; ++l)
    detail::validate_loads(p.loads_of(l), slots + p.experts,
                           [&] { return "loads[" + std::to_string(l) + "]"; });
  if (p.ranks_per_node < 0)
    throw invalid_problem("ranks_per_node",
                          "must be at least 0, is " + std::to_string(p.ranks_per_node));
  if (p.groups < 0 || p.groups > p.experts)
    throw invalid_problem("groups", "must be from 0 to " + std::to_string(p.experts) + ", is " +
                                        std::to_string(p.groups));
  if (p.history.size() % cells != 0)
    throw invalid_problem("history", "has " + std::to_string(p.history.size()) +
                                         " values, no multiple of " + std::to_string(p.layers) +
                                         " layers x " + std::to_string(p.experts) + " experts");
  for (std::int32_t w = 0; w < p.windows(); ++w)
    for (std::int32_t l = 0; l < p.layers; ++l)
      detail::validate_loads(p.loads_of(l, w), slots + p.experts, [&] {
        return "history[" + std::to_string(w) + "][" + std::to_string(l) + "]";
      });
  detail::validate_sources(p);
  if (p.previous.empty()) return;
  if (p.previous.size() != static_cast<std::size_t>(p.layers) * static_cast<std::size_t>(slots))
    throw invalid_problem("previous", "has " + std::to_string(p.previous.size()) + " values for " +
                                          std::to_string(p.layers) + " layers x " +
                                          std::to_string(slots) + " slots");
  for (std::size_t s = 0; s < p.previous.size(); ++s)
    if (p.previous[s] < expert_id{0} || p.previous[s] >= expert_id{p.experts})
      throw invalid_problem("previous[" + std::to_string(s / static_cast<std::size_t>(slots)) +
                                "][" + std::to_string(s % static_cast<std::size_t>(slots)) + "]",
                            "must be an expert below " + std::to_string(p.experts) + ", is " +
                                std::to_string(p.previous[s].value()));
}

}  // namespace shunt

#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

/// Slots dealt over ranks as evenly as possible; where the total doesn't divide, the first ranks get one more.
[[nodiscard]] constexpr std::vector<std::int32_t> deal_slots(std::int32_t slots, std::int32_t ranks) {
  std::vector<std::int32_t> dealt(static_cast<std::size_t>(ranks), 0);
  for (std::int32_t r = 0; r < ranks; ++r) dealt[static_cast<std::size_t>(r)] = slots / ranks + (r < slots % ranks);
  return dealt;
}

/// Mixture-of-experts layers to place: how many tokens each expert of each layer received, and the slots that ranks offer.
/// Every layer has the same experts and the same slots; layers are placed independently of one another.
struct expert_layers {
  std::int32_t layers = 1;
  std::int32_t experts = 1;                   ///< E, expert classes a layer
  std::vector<std::int64_t> loads{};          ///< layers x experts, row by row: tokens routed to each expert, before any is dropped
  std::vector<std::int32_t> slots_per_rank{};  ///< one entry a rank; the sum is the paper's s N

  [[nodiscard]] constexpr std::int32_t ranks() const { return static_cast<std::int32_t>(slots_per_rank.size()); }
  [[nodiscard]] constexpr std::int32_t slots() const {
    std::int32_t sum = 0;
    for (auto const s : slots_per_rank) sum += s;
    return sum;
  }
  [[nodiscard]] constexpr std::span<std::int64_t const> loads_of(layer_id l) const {
    auto const width = static_cast<std::size_t>(experts);
    return std::span(loads).subspan(l.index() * width, width);
  }
  constexpr bool operator==(expert_layers const&) const = default;
};

/// Throws invalid_problem, naming field, row and value: sizes that aren't positive, loads of another length than layers x experts,
/// a negative load, a row whose sum times the slots is beyond 62 bits, a rank with negative slots, or slots that 31 bits don't count.
/// Fewer slots than experts is no broken problem; solvers answer infeasible.
constexpr void validate(expert_layers const& p) {
  if (p.layers < 1) throw invalid_problem("layers", "must be at least 1, is " + std::to_string(p.layers));
  if (p.experts < 1) throw invalid_problem("experts", "must be at least 1, is " + std::to_string(p.experts));
  if (p.slots_per_rank.empty()) throw invalid_problem("slots_per_rank", "names no rank");
  std::int64_t slots = 0;
  for (std::size_t r = 0; r < p.slots_per_rank.size(); ++r) {
    if (p.slots_per_rank[r] < 0)
      throw invalid_problem("slots_per_rank[" + std::to_string(r) + "]", "must be at least 0, is " + std::to_string(p.slots_per_rank[r]));
    slots += p.slots_per_rank[r];
  }
  if (slots >= (std::int64_t{1} << 31)) throw invalid_problem("slots_per_rank", "adds up beyond 31 bits");
  auto const cells = static_cast<std::size_t>(p.layers) * static_cast<std::size_t>(p.experts);
  if (p.loads.size() != cells)
    throw invalid_problem("loads", "has " + std::to_string(p.loads.size()) + " values for " + std::to_string(p.layers) + " layers x " +
                                       std::to_string(p.experts) + " experts");
  for (std::int32_t l = 0; l < p.layers; ++l) {
    auto const row = p.loads_of(l);
    std::optional<std::int64_t> sum = 0;
    for (std::size_t e = 0; e < row.size() && sum; ++e) {
      if (row[e] < 0)
        throw invalid_problem("loads[" + std::to_string(l) + "][" + std::to_string(e) + "]",
                              "must be at least 0, is " + std::to_string(row[e]));
      sum = checked_add(*sum, row[e]);
    }
    auto const scaled = sum ? checked_multiply(*sum, slots + p.experts) : std::nullopt;
    if (!scaled || *scaled >= (std::int64_t{1} << 62))
      throw invalid_problem("loads[" + std::to_string(l) + "]", "its sum times the slots is beyond 62 bits");
  }
}

}  // namespace shunt

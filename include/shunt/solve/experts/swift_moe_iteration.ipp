#pragma once
#include "shunt/solve/experts/swift_moe_iteration.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/solve/experts/swift_moe.hpp"

namespace shunt {

SHUNT_CONSTEXPR swift_moe_iteration::swift_moe_iteration(expert_placement now,
                                                         std::int64_t capacity)
    : capacity_(capacity),
      loads_(checked(now, capacity), 0),
      replicas_(loads_.size(), 0),
      scratch_(2 * loads_.size(), 0),
      split_(now.first_slot, now.experts),
      splits_(static_cast<std::size_t>(now.layers)),
      placement_(std::move(now)) {}

SHUNT_CONSTEXPR void swift_moe_iteration::validate_counts(std::span<std::int64_t const> counts) {
  auto const experts = loads_.size(), ranks = static_cast<std::size_t>(placement_.ranks());
  std::size_t const width = ranks * experts, wanted = width * splits_.size();
  if (counts.size() != wanted)
    throw invalid_problem("counts", "has " + std::to_string(counts.size()) + " values for " +
                                        std::to_string(splits_.size()) + " layers x " +
                                        std::to_string(ranks) + " ranks x " +
                                        std::to_string(experts) + " experts");
  for (std::size_t l = 0; l < splits_.size(); ++l)
    require_small(counts.subspan(l * width, width), l);
}

SHUNT_CONSTEXPR void swift_moe_iteration::split(std::span<std::int64_t const> counts, layer_id l) {
  auto const width = counts.size() / splits_.size();
  split_(counts.subspan(l.index() * width, width), placement_.layer(l), capacity_,
         splits_[l.index()]);
  std::copy(split_.totals().begin(), split_.totals().end(), loads_.begin());
}

SHUNT_CONSTEXPR void swift_moe_iteration::operator()(std::span<std::int64_t const> counts) {
  validate_counts(counts);
  for (layer_id l : ids<layer_id>(splits_.size())) {
    split(counts, l);
    swift_moe_counts(loads_.data(), placement_.experts, placement_.slots(), replicas_.data(),
                     scratch_.data());
    auto slot = placement_.layer(l).begin();
    for (std::size_t e = 0; e < loads_.size(); ++e)
      for (std::int32_t k = 0; k < replicas_[e]; ++k) *slot++ = e;
  }
}

SHUNT_CONSTEXPR std::span<token_split const> swift_moe_iteration::splits() const { return splits_; }

SHUNT_CONSTEXPR expert_layers swift_moe_iteration::layers_now() const {
  expert_layers all{
      .layers = placement_.layers, .experts = placement_.experts, .previous = placement_.expert_of};
  for (std::size_t r = 0; r + 1 < placement_.first_slot.size(); ++r)
    all.slots_per_rank.push_back(placement_.first_slot[r + 1] - placement_.first_slot[r]);
  return all;
}

SHUNT_CONSTEXPR void swift_moe_iteration::take(solution<expert_placement> next) {
  if (!next.has_plan()) throw invalid_problem("placement", next.reason);
  if (next.plan.first_slot != placement_.first_slot ||
      next.plan.expert_of.size() != placement_.expert_of.size())
    throw invalid_problem("placement", "the next one has other slots than the one before");
  placement_ = std::move(next.plan);
}

SHUNT_CONSTEXPR std::size_t swift_moe_iteration::checked(expert_placement const& now,
                                                         std::int64_t capacity) {
  if (now.layers < 1)
    throw invalid_problem("placement.layers",
                          "must be at least 1, is " + std::to_string(now.layers));
  if (now.experts < 1)
    throw invalid_problem("placement.experts",
                          "must be at least 1, is " + std::to_string(now.experts));
  if (now.first_slot.size() < 2) throw invalid_problem("placement.first_slot", "names no rank");
  auto const cells = static_cast<std::size_t>(now.ranks()) * static_cast<std::size_t>(now.experts);
  routed_tokens const none{.experts = now.experts,
                           .counts = std::vector<std::int64_t>(cells, 0),
                           .first_slot = now.first_slot,
                           .expert_of = {},
                           .capacity = capacity};
  if (now.expert_of.size() !=
      static_cast<std::size_t>(now.layers) * static_cast<std::size_t>(now.slots()))
    throw invalid_problem("placement.expert_of", "has " + std::to_string(now.expert_of.size()) +
                                                     " values for " + std::to_string(now.layers) +
                                                     " layers x " + std::to_string(now.slots()) +
                                                     " slots");
  for (layer_id l : ids<layer_id>(now.layers)) {
    auto layer = none;
    auto const slots = now.layer(l);
    layer.expert_of.assign(slots.begin(), slots.end());
    validate(layer);
    std::vector<char> has(static_cast<std::size_t>(now.experts), 0);
    for (expert_id const e : slots) has[e.index()] = 1;
    for (std::size_t e = 0; e < has.size(); ++e)
      if (!has[e])
        throw invalid_problem("placement[" + std::to_string(l.value()) + "]",
                              "expert " + std::to_string(e) + " has no slot");
  }
  if (std::int64_t{now.experts} * (std::int64_t{now.slots()} + now.experts) >=
      (std::int64_t{1} << 31))
    throw invalid_problem("placement.experts", "times slots and experts is beyond 31 bits");
  return static_cast<std::size_t>(now.experts);
}

SHUNT_CONSTEXPR void swift_moe_iteration::require_small(std::span<std::int64_t const> row,
                                                        std::size_t l) {
  std::uint64_t bits = 0;  // union of all bits: a negative count sets the highest
  for (auto const count : row) bits |= static_cast<std::uint64_t>(count);
  if (bits * (row.size() / loads_.size()) < (std::uint64_t{1} << 31) &&
      bits < (std::uint64_t{1} << 31))
    return;
  auto const at = "counts[" + std::to_string(l) + "]";
  for (std::size_t i = 0; i < row.size(); ++i)
    if (row[i] < 0 || row[i] >= (std::int64_t{1} << 31))
      throw invalid_problem(at + "[" + std::to_string(i / loads_.size()) + "][" +
                                std::to_string(i % loads_.size()) + "]",
                            "must be at least 0 and below 2^31, is " + std::to_string(row[i]));
  std::fill(loads_.begin(), loads_.end(), 0);
  for (std::size_t i = 0; i < row.size(); ++i) loads_[i % loads_.size()] += row[i];
  for (std::size_t e = 0; e < loads_.size(); ++e)
    if (loads_[e] >= (std::int64_t{1} << 31))
      throw invalid_problem(at, "expert " + std::to_string(e) + " has 2^31 tokens or more");
}

}  // namespace shunt
